//! What the way to another service costs a call: picking an instance, and all of it.

use std::hint::black_box;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use discovery::{Discover, Endpoint, Registry};
use http::{HeaderValue, Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use runtime::{Env, Io, Listener, Net, Network, Random};
use service_auth::{Alpn, Identity, LocalCa, SpiffeId, TrustDomain};
use service_client::measuring::Picking;
use service_client::{Channel, Outbound};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::body::Body;
use tower::{Service as _, ServiceExt as _};
use types::ServiceName;

use crate::figures::median;

const SHOP: ServiceName = ServiceName::new("user-service");
const INSTANCES: u8 = 100;
const PICKS: u32 = 100_000;
/// Long enough to pass over what disturbs a machine, and by turns, so that it disturbs both.
const CALLS: u32 = 2_000;
const ROUNDS: usize = 15;

/// One pick among a hundred instances, in nanoseconds: the best of some rounds.
pub(crate) fn pick() -> Result<f64> {
    let registry = Registry::default();
    let _registered: Vec<_> = (0..INSTANCES).map(|last| registry.register(&SHOP, endpoint(last))).collect();
    let picking = Picking::among(&SHOP, registry.watch(&SHOP), &Random::seeded(1));
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for _ in 0..PICKS {
            black_box(picking.pick()?);
        }
        best = best.min(nanos(began) / f64::from(PICKS));
    }
    Ok(best)
}

/// What a unary call takes longer through the whole stack than over a bare connection of the same kind, in nanoseconds,
/// and the bare call: the medians of rounds by turns, all in one thread and over a pipe in memory.
pub(crate) async fn stack() -> Result<(f64, f64)> {
    let dir = tempfile::tempdir()?;
    let (dialled, accepted) = mpsc::channel(1);
    let env = Env { net: Net::over(Pipes(dialled)), ..Env::system(1) };
    let ca = LocalCa::open(dir.path(), &env.clock)?;
    let identity = |name: &'static str| -> Result<Identity> {
        let id = SpiffeId::service(&TrustDomain::default(), &ServiceName::new(name));
        let pem = ca.issue(&id, Duration::from_secs(3_600))?;
        Ok(Identity::from_pem(&pem, ca.roots_pem(), &env.clock)?)
    };
    let (caller, callee) = (identity("api-gateway")?, identity("user-service")?);
    env.tasks.spawn("the callee", serve(env.clone(), accepted, callee));
    let registry = Registry::default();
    let _registered = registry.register(&SHOP, endpoint(1));
    let discovery: Arc<dyn Discover> = Arc::new(registry);
    let outbound = Outbound::new(&env, &caller, &TrustDomain::default(), &discovery);
    let mut channel = outbound.grpc(&SHOP);
    let mut bare = connect(&env, &caller).await?;
    let (mut through, mut by_itself) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        through.push(calls_through(&mut channel).await?);
        by_itself.push(bare_calls(&mut bare).await?);
    }
    let by_itself = median(by_itself);
    Ok((median(through) - by_itself, by_itself))
}

async fn calls_through(channel: &mut Channel) -> Result<f64> {
    let began = Instant::now();
    for _ in 0..CALLS {
        black_box(channel.ready().await?.call(request()?).await?);
    }
    Ok(nanos(began) / f64::from(CALLS))
}

async fn bare_calls(bare: &mut SendRequest<Body>) -> Result<f64> {
    let began = Instant::now();
    for _ in 0..CALLS {
        bare.ready().await?;
        black_box(bare.send_request(request()?).await?);
    }
    Ok(nanos(began) / f64::from(CALLS))
}

/// As tonic's clients make it.
fn request() -> Result<Request<Body>> {
    let request = Request::post("https://user-service/userservice.UserService/GetUser");
    let request = request.header("te", "trailers").header("content-type", "application/grpc");
    Ok(request.body(Body::new(http_body_util::Full::new(Bytes::from_static(b"\0\0\0\0\x02\x0a\0"))))?)
}

async fn connect(env: &Env, caller: &Identity) -> Result<SendRequest<Body>> {
    let io = env.net.dial(&endpoint(1).grpc.to_string()).await?;
    let callee = SpiffeId::service(&TrustDomain::default(), &SHOP);
    let secured = caller.connect(io, &callee, Alpn::H2).await?;
    let connected =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(secured.io)).await;
    let (sender, connection) = connected.context("HTTP/2")?;
    env.tasks.spawn("a bare connection", async { drop(connection.await) });
    Ok(sender)
}

async fn serve(env: Env, mut accepted: mpsc::Receiver<Io>, callee: Identity) {
    while let Some(io) = accepted.recv().await {
        let Ok(secured) = callee.accept(io, Alpn::H2).await else { continue };
        let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let connection = http2.serve_connection(TokioIo::new(secured.io), service_fn(answer));
        env.tasks.spawn("a connection of the callee", async { drop(connection.await) });
    }
}

async fn answer(_: Request<Incoming>) -> Result<Response<Empty<Bytes>>> {
    let mut response = Response::new(Empty::new());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response.headers_mut().insert("grpc-status", HeaderValue::from_static("0"));
    Ok(response)
}

fn endpoint(last: u8) -> Endpoint {
    let at = |port| SocketAddr::from(([10, 0, 0, last], port));
    Endpoint { http: at(3000), grpc: at(50051) }
}

fn nanos(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e9
}

/// A network of pipes to the one callee.
struct Pipes(mpsc::Sender<Io>);

type Pending<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

impl Network for Pipes {
    fn bind(&self, _: SocketAddr) -> Pending<'_, Listener> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn dial<'a>(&'a self, _: &'a str) -> Pending<'a, Io> {
        Box::pin(async {
            let (mine, theirs) = tokio::io::duplex(64 * 1024);
            self.0.send(Box::new(theirs)).await.map_err(|_gone| io::ErrorKind::ConnectionRefused)?;
            Ok(Box::new(mine) as Io)
        })
    }
}
