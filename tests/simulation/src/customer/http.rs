//! HTTP/1.1 to the gateway.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use runtime::Net;

use crate::hosts::{GATEWAY, PUBLIC_PORT};
use crate::net::{SimulatedNetwork, Traffic};

/// A few trips.
const CONNECT: Duration = Duration::from_secs(1);

/// An answer, whole.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A connection to the gateway.
pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
    /// What moves the bytes; it ends with the connection.
    driver: Pin<Box<dyn Future<Output = ()>>>,
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("the connection ended")]
    Ended,
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

/// `line` if it is still there, or else a new one; `None` if nobody answers.
pub(super) async fn usable(line: Option<Line>, from: &'static str, traffic: &Traffic) -> Option<Line> {
    let kept = line.and_then(|mut line| {
        let has_ended = (&mut line.driver).now_or_never().is_some();
        (!has_ended && !line.sender.is_closed()).then_some(line)
    });
    match kept {
        Some(line) => Some(line),
        None => tokio::time::timeout(CONNECT, Line::connect(from, traffic)).await.ok()?.ok(),
    }
}

impl Line {
    async fn connect(from: &'static str, traffic: &Traffic) -> io::Result<Self> {
        let net = Net::over(SimulatedNetwork::of(from, traffic));
        let io = net.dial(&format!("{GATEWAY}:{PUBLIC_PORT}")).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(io)).await.map_err(io::Error::other)?;
        Ok(Self { sender, driver: Box::pin(connection.map(drop)) })
    }

    /// Sends a request and waits for the whole answer.
    pub(super) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Reply, LineError> {
        let answer = async {
            let (head, body) = self.sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Reply { status: head.status, headers: head.headers, body })
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            () = &mut self.driver => Err(LineError::Ended),
        }
    }
}
