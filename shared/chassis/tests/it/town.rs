//! A certificate authority and the callers it vouches for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use chassis::{Listeners, Platform};
use discovery::{Discover, Registry};
use http::request::Builder;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use runtime::{Env, Io};
use service_auth::{Alpn, Identity, LocalCa, Secured, SpiffeId, TrustDomain};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use types::ServiceName;

use crate::harness::in_memory;

pub(crate) const SHOP: ServiceName = ServiceName::new("shop-service");

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) struct Town {
    pub(crate) dir: TempDir,
    ca: LocalCa,
    env: Env,
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Town {
    pub(crate) fn new() -> Self {
        Self::living_in(Env::system(1))
    }

    /// Where only the tests make time pass.
    pub(crate) fn in_memory() -> Self {
        Self::living_in(in_memory())
    }

    fn living_in(env: Env) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = LocalCa::open(dir.path(), &env.clock).unwrap();
        Self { dir, ca, env }
    }

    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    /// The shop's platform, which listens on free ports.
    pub(crate) fn shop(&self) -> Platform {
        let discovery: Arc<dyn Discover> = Arc::new(Registry::default());
        self.platform_in(&self.env, SHOP.as_str(), &discovery)
    }

    /// The platform of another service, with tasks of its own, which finds the others by `discovery`.
    pub(crate) fn platform(&self, name: &str, discovery: &Arc<dyn Discover>) -> Platform {
        self.platform_in(&self.env.with_own_tasks(), name, discovery)
    }

    fn platform_in(&self, env: &Env, name: &str, discovery: &Arc<dyn Discover>) -> Platform {
        let (trust_domain, identity) = (TrustDomain::default(), self.identity(name));
        let (name, listeners) = (name.parse().unwrap(), Listeners::local());
        Platform::new(name, env.clone(), identity, trust_domain, listeners, Arc::clone(discovery))
    }

    /// The identity of a service, or of the operators.
    pub(crate) fn identity(&self, name: &str) -> Identity {
        let pem = self.ca.issue(&id(name), DAY).unwrap();
        Identity::from_pem(&pem, self.ca.roots_pem(), &self.env.clock).unwrap()
    }

    /// Writes the identity of a service where a process of its own finds it: certificate, key, authorities.
    pub(crate) fn mount(&self, name: &str) -> [String; 3] {
        use secrecy::ExposeSecret as _;
        let pem = self.ca.issue(&id(name), DAY).unwrap();
        let texts = [&*pem.chain, pem.key.expose_secret(), self.ca.roots_pem()];
        let files = ["cert.pem", "key.pem", "ca.pem"].map(|file| self.dir.path().join(file));
        for (file, text) in files.iter().zip(texts) {
            std::fs::write(file, text).unwrap();
        }
        files.map(|file| file.to_str().unwrap().to_owned())
    }

    /// Asks the shop's edge API as `caller`.
    pub(crate) async fn get(&self, caller: &str, addr: SocketAddr, path: &str) -> Answer {
        self.try_get(caller, addr, path).await.unwrap()
    }

    /// The same, where the connection may be cut before the answer.
    pub(crate) async fn try_get(&self, caller: &str, addr: SocketAddr, path: &str) -> hyper::Result<Answer> {
        self.send(caller, addr, Request::get(format!("https://shop{path}"))).await
    }

    /// Sends a request to the shop's edge API as `caller`.
    pub(crate) async fn send(
        &self,
        caller: &str,
        addr: SocketAddr,
        request: Builder,
    ) -> hyper::Result<Answer> {
        let io = TokioIo::new(self.secured(caller, addr, Alpn::H2).await);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        // The connection ends with its sender.
        let exchange = async move { read(sender.send_request(request).await?).await };
        tokio::join!(exchange, connection).0
    }

    /// Asks an admin listener.
    pub(crate) async fn admin(&self, addr: SocketAddr, path: &str) -> Answer {
        let io = TokioIo::new(self.env.net.dial(&addr.to_string()).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let request = Request::get(path).header("host", "shop").body(Empty::<Bytes>::new()).unwrap();
        let exchange = async move { read(sender.send_request(request).await?).await };
        tokio::join!(exchange, connection).0.unwrap()
    }

    /// Waits until the admin listener tells `status` of the service's readiness.
    pub(crate) async fn until_ready_is(&self, addr: SocketAddr, status: StatusCode) -> Answer {
        loop {
            let answer = self.admin(addr, "/health/ready").await;
            if answer.status == status {
                return answer;
            }
        }
    }

    /// Waits until nobody listens.
    pub(crate) async fn until_refused(&self, addr: SocketAddr) {
        while self.env.net.dial(&addr.to_string()).await.is_ok() {}
    }

    /// Calls the shop's internal API as `caller`.
    pub(crate) async fn channel(&self, caller: &str, addr: SocketAddr) -> Channel {
        let io = TokioIo::new(self.secured(caller, addr, Alpn::H2).await);
        let mut io = Some(io);
        let connector = tower::service_fn(move |_| {
            std::future::ready(io.take().ok_or_else(|| std::io::Error::other("there is one connection")))
        });
        Endpoint::from_static("http://shop").connect_with_connector(connector).await.unwrap()
    }

    /// A connection of `caller` to the shop.
    pub(crate) async fn secured(&self, caller: &str, addr: SocketAddr, alpn: Alpn) -> Io {
        let io = self.env.net.dial(&addr.to_string()).await.unwrap();
        let connected = self.identity(caller).connect(io, &id(SHOP.as_str()), alpn).await;
        let Secured { io, .. } = connected.unwrap();
        io
    }
}

async fn read(response: http::Response<hyper::body::Incoming>) -> hyper::Result<Answer> {
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    Ok(Answer { status: head.status, headers: head.headers, body: String::from_utf8(body).unwrap() })
}

fn id(name: &str) -> SpiffeId {
    match (name, TrustDomain::default()) {
        ("operator", domain) => SpiffeId::operator(&domain),
        (service, domain) => SpiffeId::service(&domain, &service.parse().unwrap()),
    }
}
