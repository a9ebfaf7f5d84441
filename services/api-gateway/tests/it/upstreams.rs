//! A service behind the gateway that does what a test needs of one.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use chassis::{Access, Assembly, Caller, ClientAddr, Edge, Platform, Problem, get, post};
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use http_body_util::BodyExt as _;
use runtime::ComputeError;
use serde_json::{Value, json};
use tokio::sync::{Mutex, Notify, mpsc};
use types::{Classify, ErrorClass};

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
    crowd: AtomicUsize,
}

/// There is no thread for it.
#[derive(Debug, thiserror::Error)]
#[error("it cannot be computed")]
struct NoThread(#[source] ComputeError);

impl Classify for NoThread {
    fn class(&self) -> ErrorClass {
        ErrorClass::Unavailable
    }
}

impl Shop {
    pub(crate) fn new() -> Self {
        let ((heard, hearing), (said, saying)) = (mpsc::channel(64), mpsc::channel(64));
        let (hearing, saying) = (Mutex::new(hearing), Mutex::new(Some(saying)));
        let (reached, left, crowd) = Default::default();
        Self(Arc::new(Shared { heard, hearing, said, saying, reached, left, crowd }))
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
            .route("/users/echo", get(Access::Anybody, echo).post(Access::Anybody, echo))
            .route("/users/upload", post(Access::Anybody, upload))
            .route("/users/stream", get(Access::Anybody, stream_said))
            .route("/users/stuck", get(Access::Anybody, stuck).post(Access::Anybody, stuck))
            .route("/users/crowded", post(Access::Anybody, crowded))
            .route("/users/deaf", post(Access::Anybody, async || "heard nothing"))
            .route("/users/status/{status}", get(Access::Anybody, status))
            .route("/users/{*path}", get(Access::Anybody, echo))
            .with_state(self.clone());
        Assembly { http, ..Assembly::new(&platform.trust_domain) }
    }
}

/// Tells what of the request has arrived.
pub(crate) async fn echo(client: ClientAddr, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let mut headers: Vec<_> = head
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    headers.sort();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let told: Value = json!({
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "headers": headers,
        "client": client.0.to_string(),
        "body": String::from_utf8_lossy(&body),
    });
    axum::Json(told).into_response()
}

/// Answers one of ten, and has no room for the others.
async fn crowded(State(shop): State<Shop>, body: Body) -> Result<&'static str, Problem> {
    body.collect().await.map_err(|_broken| Problem::new(ErrorClass::Invalid, "the body must come whole"))?;
    let nth = shop.0.crowd.fetch_add(1, Ordering::Relaxed);
    if nth % 10 == 0 { Ok("done") } else { Err(NoThread(ComputeError::Overloaded).into()) }
}

/// Takes a body part by part.
async fn upload(State(shop): State<Shop>, body: Body) -> String {
    let mut parts = body.into_data_stream();
    let mut size = 0;
    while let Some(Ok(part)) = parts.next().await {
        size += part.len();
        shop.0.heard.send(part).await.expect("the shop holds the receiver");
    }
    size.to_string()
}

/// Says what the test says, until somebody leaves.
async fn stream_said(State(shop): State<Shop>) -> Response {
    let said = shop.0.saying.lock().await.take().expect("one at a time");
    let leaving = Leaving(shop);
    let parts = stream::unfold((said, leaving), async |(mut said, leaving)| {
        let part = said.recv().await?;
        Some((Ok::<_, Infallible>(part), (said, leaving)))
    });
    Body::from_stream(parts).into_response()
}

/// Never answers.
async fn stuck(State(shop): State<Shop>) -> StatusCode {
    let _leaving = Leaving(shop.clone());
    shop.0.reached.notify_one();
    std::future::pending().await
}

/// Tells that a request was given up.
struct Leaving(Shop);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.0.left.notify_one();
    }
}

/// Answers with this status, and headers that are for one connection.
async fn status(Path(status): Path<u16>) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    let headers = [("keep-alive", "timeout=5"), ("x-kept", "yes"), ("etag", "\"7\"")];
    (status, headers, if status == StatusCode::OK { "body" } else { "" }).into_response()
}
