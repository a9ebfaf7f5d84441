use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::Result;
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use runtime::Env;
use service_auth::{Alpn, Identity, SpiffeId};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::Service;

/// HTTP/2 over mTLS with one listener, as another service makes it. Clones share it.
#[derive(Clone)]
pub(crate) struct Connection(SendRequest<Body>);

impl Connection {
    /// Names the listener in `:authority`; nobody is found by it.
    pub(crate) const ORIGIN: &str = "https://user-service";

    /// Connects as `identity` to the workload `server` at `addr`.
    pub(crate) async fn open(
        env: &Env,
        identity: &Identity,
        server: &SpiffeId,
        addr: SocketAddr,
    ) -> Result<Self> {
        let io = env.net.dial(&addr.to_string()).await?;
        let secured = identity.connect(io, server, Alpn::H2).await?;
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(secured.io)).await?;
        // Whoever still asks when it has ended is told by the sender.
        env.tasks.spawn("connection", async move { drop(connection.await) });
        Ok(Self(sender))
    }
}

impl Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
