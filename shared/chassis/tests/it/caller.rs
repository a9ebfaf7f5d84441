//! A peer that calls a server under test over mTLS and HTTP/2.

use axum::body::Body;
use chassis::{Kind, Transport};
use futures_util::stream;
use http::request::Builder;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use runtime::{Env, Io};
use service_auth::{Alpn, Identity};
use tokio::sync::oneshot;

use crate::harness::{Setup, World, in_memory, in_time};
use crate::town::{SHOP, Town};

const CALLER: &str = "order-service";

/// A server under test that only peers reach.
pub(crate) struct Guarded {
    pub(crate) world: World,
    server: Identity,
    caller: Identity,
}

impl Setup {
    /// Listens on loopback, with mTLS.
    pub(crate) async fn with_mtls(self, kind: Kind) -> Guarded {
        self.guarded(kind, Env::system(1)).await
    }

    /// Listens in memory, with mTLS.
    pub(crate) async fn with_mtls_in_memory(self, kind: Kind) -> Guarded {
        self.guarded(kind, in_memory()).await
    }

    async fn guarded(self, kind: Kind, env: Env) -> Guarded {
        let town = Town::new();
        let (server, caller) = (town.identity(SHOP.as_str()), town.identity(CALLER));
        let alpn = match kind {
            Kind::Http => Alpn::H2OrHttp1,
            Kind::Grpc => Alpn::H2,
        };
        let transport = Transport::Mtls(server.clone(), alpn);
        let world = Self { kind, transport, ..self }.start(env).await;
        Guarded { world, server, caller }
    }
}

impl Guarded {
    /// A connection whose ends know each other and have said nothing more.
    pub(crate) async fn secured(&self) -> Io {
        let io = self.world.dial().await.unwrap();
        self.caller.connect(io, &self.server.id(), Alpn::H2).await.unwrap().io
    }

    pub(crate) async fn caller(&self) -> Caller {
        let io = TokioIo::new(self.secured().await);
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        let (closed, until_closed) = oneshot::channel();
        self.world.env.tasks.spawn("caller", async move {
            // How it ended shows in the answers.
            drop(connection.await);
            drop(closed);
        });
        Caller { sender, until_closed }
    }

    /// One call on a connection of its own.
    pub(crate) async fn call(&self, request: Builder, body: &'static str) -> Answer {
        self.caller().await.send(request, Body::from(body)).await
    }

    /// One call whose body comes in several frames.
    pub(crate) async fn call_in_pieces(&self, request: Builder, pieces: &'static [&'static str]) -> Answer {
        let pieces = stream::iter(pieces.iter().map(|piece| Ok::<_, std::convert::Infallible>(*piece)));
        self.caller().await.send(request, Body::from_stream(pieces)).await
    }
}

/// A connection of HTTP/2.
pub(crate) struct Caller {
    sender: SendRequest<Body>,
    until_closed: oneshot::Receiver<()>,
}

/// An answer over HTTP/2.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// An answer whose body nobody has asked for.
pub(crate) struct Unread(Incoming);

impl Unread {
    /// Whether the server has given up before the end.
    pub(crate) async fn ends_early(self) -> bool {
        in_time(self.0.collect()).await.is_err()
    }
}

impl Caller {
    /// Sends a request; the answer.
    pub(crate) fn send(&mut self, request: Builder, body: Body) -> impl Future<Output = Answer> + use<> {
        let answer = self.sender.send_request(request.body(body).unwrap());
        async move {
            let (head, body) = in_time(answer).await.expect("the server answers").into_parts();
            let body = in_time(body.collect()).await.expect("the answer is whole").to_bytes();
            let body = String::from_utf8(body.to_vec()).unwrap();
            Answer { status: head.status, headers: head.headers, body }
        }
    }

    /// The status of a request that may be refused by ending its stream.
    pub(crate) async fn send_raw(&mut self, request: Builder, body: Body) -> hyper::Result<StatusCode> {
        in_time(self.sender.send_request(request.body(body).unwrap())).await.map(|answer| answer.status())
    }

    /// Sends a request and leaves its answer unread.
    pub(crate) async fn begin(&mut self, request: Builder) -> Unread {
        let answer = self.sender.send_request(request.body(Body::empty()).unwrap());
        Unread(in_time(answer).await.expect("the server answers").into_body())
    }

    /// Waits until the server has closed the connection.
    pub(crate) async fn until_closed(self) {
        assert!(in_time(self.until_closed).await.is_err(), "nothing is ever sent");
    }
}
