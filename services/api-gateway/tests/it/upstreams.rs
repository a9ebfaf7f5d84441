//! A service behind the gateway that does what a test needs of one.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request};
use axum::response::{IntoResponse as _, Response};
use chassis::{Access, Assembly, Caller, ClientAddr, Edge, Platform, get, post};
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, ETAG};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::{Mutex, Notify, mpsc};

/// What a test and the service's handlers tell each other.
#[derive(Clone)]
pub(crate) struct Shop(Arc<Shared>);

struct Shared {
    heard: mpsc::Sender<Bytes>,
    hearing: Mutex<mpsc::Receiver<Bytes>>,
    said: mpsc::Sender<Bytes>,
    saying: Mutex<Option<mpsc::Receiver<Bytes>>>,
    reached: Notify,
    left: Notify,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let ((heard, hearing), (said, saying)) = (mpsc::channel(64), mpsc::channel(64));
        let (hearing, saying) = (Mutex::new(hearing), Mutex::new(Some(saying)));
        let (reached, left) = Default::default();
        Self(Arc::new(Shared { heard, hearing, said, saying, reached, left }))
    }

    /// The next part of the body that reached `/users/upload`.
    pub(crate) async fn hears(&self) -> Bytes {
        self.0.hearing.lock().await.recv().await.expect("the shop holds the sender")
    }

    /// Says something at `/users/stream`.
    pub(crate) async fn says(&self, text: &'static str) {
        self.0.said.send(Bytes::from_static(text.as_bytes())).await.expect("the shop holds the receiver");
    }

    /// Waits until a request has reached `/users/stuck`.
    pub(crate) async fn is_reached(&self) {
        self.0.reached.notified().await;
    }

    /// Waits until such a request, or an answer of `/users/stream`, was given up.
    pub(crate) async fn is_left(&self) {
        self.0.left.notified().await;
    }

    /// The service, as the platform sees it.
    pub(crate) fn assembly(&self, platform: &Platform) -> Assembly {
        let http = Edge::new()
            .route("/users/me", get(Access::Users, async |caller: Caller| caller.user.to_string()))
            .route("/users/all", get(Access::Operators, async || "all"))
            .route("/users/echo", get(Access::Anybody, echo).post(Access::Anybody, echo))
            .route("/users/upload", post(Access::Anybody, upload))
            .route("/users/stream", get(Access::Anybody, stream_said))
            .route("/users/stuck", get(Access::Anybody, stuck).post(Access::Anybody, stuck))
            .route("/users/deaf", post(Access::Anybody, async || "heard nothing"))
            .route("/users/status/{status}", get(Access::Anybody, status))
            .route("/users/{*path}", get(Access::Anybody, echo))
            .with_state(())
            .layered(Extension(self.clone()));
        Assembly { http, ..Assembly::new(&platform.trust_domain) }
    }
}
