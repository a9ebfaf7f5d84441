//! A connection to one of the service's listeners, as another service makes it.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use runtime::Env;
use service_auth::{Alpn, Identity, SpiffeId};
use tower::Service;

/// HTTP/2 over mTLS with one listener. Clones share it.
#[derive(Clone)]
pub(crate) struct Connection(SendRequest<Body>);

impl Connection {
    /// Connects as `identity` to the workload `server` at `addr`.
    pub(crate) async fn open(env: &Env, identity: &Identity, server: &SpiffeId, addr: SocketAddr) -> Self {
        let io = env.net.dial(&addr.to_string()).await.unwrap();
        let secured = identity.connect(io, server, Alpn::H2).await.unwrap();
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(secured.io)).await.unwrap();
        env.tasks.spawn("connection", async move {
            // The service may close first; whoever still asks is told by the sender.
            drop(connection.await);
        });
        Self(sender)
    }
}

impl<B> Service<Request<B>> for Connection
where
    B: http_body::Body<Data = bytes::Bytes, Error: Into<axum::BoxError>> + Send + 'static,
{
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin(self.0.send_request(request.map(Body::new)))
    }
}
