//! The peer of `gateway`: hyper on both sides with a pool in between, and nothing else.
//!
//! It has the same TLS towards the service and the same HTTP towards the client, and none of the gateway's bounds, checks,
//! identifiers or measurements.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use clap::Args;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use runtime::Env;
use service_auth::{Alpn, Identity, SpiffeId};

use crate::getuser::SERVICE;

#[derive(Args)]
pub(crate) struct Settings {
    #[arg(long)]
    pub(crate) upstream: SocketAddr,
    #[arg(long)]
    pub(crate) cert: PathBuf,
    #[arg(long)]
    pub(crate) key: PathBuf,
    #[arg(long)]
    pub(crate) ca: PathBuf,
}

/// Serves until it is killed. The first line on stderr is the address it listens on.
pub(crate) async fn serve(settings: Settings) -> Result<()> {
    let env = Env::system(1);
    let identity = Identity::load(&settings.cert, &settings.key, &settings.ca, &env.clock)?;
    let service = SpiffeId::service(&identity.id().trust_domain(), &SERVICE);
    let upstream =
        Upstream { env: env.clone(), identity, service, addr: settings.upstream, idle: Mutex::default() };
    let upstream = Arc::new(upstream);
    let mut listener = env.net.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    writeln!(io::stderr(), "{}", listener.local_addr()?)?;
    loop {
        let (io, _) = listener.accept().await?;
        let upstream = Arc::clone(&upstream);
        let pass = service_fn(move |request| {
            let upstream = Arc::clone(&upstream);
            async move { upstream.pass(request).await }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(io), pass);
        env.tasks.spawn("connection", async move { drop(connection.await) });
    }
}

/// The service behind it.
struct Upstream {
    env: Env,
    identity: Identity,
    service: SpiffeId,
    addr: SocketAddr,
    idle: Mutex<Vec<SendRequest<Incoming>>>,
}

impl Upstream {
    async fn pass(self: Arc<Self>, mut request: Request<Incoming>) -> Result<Response<Incoming>> {
        request.headers_mut().insert(HOST, HeaderValue::from_str(SERVICE.as_str())?);
        let mut connection = match self.ready().await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let response = connection.send_request(request).await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(response)
    }

    async fn ready(&self) -> Option<SendRequest<Incoming>> {
        let mut connection = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        connection.ready().await.is_ok().then_some(connection)
    }

    async fn connect(&self) -> Result<SendRequest<Incoming>> {
        let io = self.env.net.dial(&self.addr.to_string()).await?;
        let secured = self.identity.connect(io, &self.service, Alpn::Http1).await?;
        let (connection, driver) = handshake(TokioIo::new(secured.io)).await?;
        self.env.tasks.spawn("upstream", async move { drop(driver.await) });
        Ok(connection)
    }
}
