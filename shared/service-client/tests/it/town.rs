//! A caller, and shops with whatever identity a test wants.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use discovery::{Discover, Endpoint, Registration, Registry};
use proto::userservice::GetUserRequest;
use proto::userservice::user_service_client::UserServiceClient;
use runtime::{Clock, Deadline, Env, Io, Net, Random};
use service_auth::{Identity, LocalCa, SpiffeId, TrustDomain};
use service_client::{CallError, Channel, HttpClient, Outbound, request};
use tempfile::TempDir;
use tokio::sync::mpsc;
use types::{ServiceName, Timestamp};

use crate::shop::{Body, Grpc, Http, Shop};
use crate::streets::Streets;

pub(crate) const SHOP: ServiceName = ServiceName::new("user-service");

/// Longer than anything here takes unless it waits for nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Town {
    _dir: TempDir,
    ca: LocalCa,
    /// The caller's.
    pub(crate) env: Env,
    pub(crate) streets: Streets,
    pub(crate) registry: Registry,
    pub(crate) outbound: Outbound,
}

impl Town {
    pub(crate) fn new() -> Self {
        let clock = Clock::from_tokio(Timestamp::from_micros(1_785_000_000_000_000));
        let streets = Streets::default();
        let env = Env::simulated(clock, Random::seeded(1), Net::over(streets.clone()));
        let dir = tempfile::tempdir().unwrap();
        let ca = LocalCa::open(dir.path(), &env.clock).unwrap();
        let registry = Registry::default();
        let discovery: Arc<dyn Discover> = Arc::new(registry.clone());
        let identity = identity(&ca, &env, "api-gateway");
        let outbound = Outbound::new(&env, &identity, &TrustDomain::default(), &discovery);
        Self { _dir: dir, ca, env, streets, registry, outbound }
    }

    pub(crate) fn register(&self, last: u8) -> Registration {
        let at = |port| SocketAddr::new(ip(last), port);
        self.registry.register(&SHOP, Endpoint { http: at(3000), grpc: at(50051) })
    }

    /// Takes connections to an instance as they come, with an identity to accept them by.
    pub(crate) fn open(&self, last: u8, name: &str) -> (mpsc::Receiver<Io>, Identity) {
        (self.streets.open(ip(last)), identity(&self.ca, &self.env, name))
    }

    /// The callee's, by whose clock two days more have passed: it believes nobody here any more.
    pub(crate) fn identity_of_late(&self) -> Identity {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let id = SpiffeId::service(&TrustDomain::default(), &SHOP);
        let pem = self.ca.issue(&id, 9 * DAY).unwrap();
        let clock = self.env.clock.clone();
        let late = Clock::reading(move || clock.now().after(2 * DAY));
        Identity::from_pem(&pem, self.ca.roots_pem(), &late).unwrap()
    }

    /// Serves gRPC as an instance.
    pub(crate) fn grpc(&self, last: u8, answer: impl Grpc) -> Shop {
        let (accepted, identity) = self.open(last, SHOP.as_str());
        Shop::grpc(&self.env, accepted, identity, answer)
    }

    /// Serves HTTP/1.1 as an instance.
    pub(crate) fn http(&self, last: u8, answer: impl Http) -> Shop {
        let (accepted, identity) = self.open(last, SHOP.as_str());
        Shop::http(&self.env, accepted, identity, answer)
    }

    pub(crate) fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.outbound.grpc(&SHOP))
    }

    /// A call, and who was asked for.
    pub(crate) async fn call(&self, deadline: Deadline) -> Result<String, CallError> {
        let message = GetUserRequest { id: "7".to_owned() };
        Ok(self.users().get_user(request(message, deadline, None)).await?.into_inner().name)
    }

    pub(crate) async fn call_patiently(&self) -> Result<String, CallError> {
        self.call(Deadline::within(PATIENCE)).await
    }

    pub(crate) fn client(&self) -> HttpClient<Body> {
        self.outbound.http(&SHOP)
    }
}

pub(crate) fn ip(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

fn identity(ca: &LocalCa, env: &Env, name: &str) -> Identity {
    let id = SpiffeId::service(&TrustDomain::default(), &name.parse().unwrap());
    let pem = ca.issue(&id, Duration::from_secs(24 * 60 * 60)).unwrap();
    Identity::from_pem(&pem, ca.roots_pem(), &env.clock).unwrap()
}
