use std::future::pending;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use api_gateway::{LimitsConfig, Proxies, Routes};
use auth_service::config::Failures;
use auth_service::{Lifetimes, SealingKey};
use chassis::{FrontConfig, FrontTls, Listeners, Platform, Service, StartError};
use database::SqliteConfig;
use discovery::{Discover, Endpoint, Static};
use runtime::{Env, Net, Random};
use service_auth::{Identity, TrustDomain};
use types::ServiceName;
use user_service::Cost;

use crate::faults::Orders;
use crate::hosts::{ADMIN_PORT, GRPC_PORT, HTTP_PORT, PUBLIC_PORT, Site};
use crate::lookout::Lookout;
use crate::net::{SimulatedNetwork, Traffic};
use crate::storage::Disk;
use crate::time;

/// After a start that the disk refused; whoever looks after processes waits about so long.
const BETWEEN_STARTS: Duration = Duration::from_millis(200);

/// Where every instance is, as a list that each process is given at its start.
#[derive(Clone)]
pub(super) struct Town(Arc<dyn Discover>);

impl Town {
    pub(super) fn new(mut address: impl FnMut(&'static str) -> IpAddr) -> Self {
        let mut instances = Vec::new();
        for site in Site::ALL {
            for instance in site.instances() {
                let ip = address(instance);
                let http = SocketAddr::from((ip, HTTP_PORT));
                let grpc = SocketAddr::from((ip, GRPC_PORT));
                instances.push((ServiceName::new(site.service()), Endpoint { http, grpc }));
            }
        }
        Self(Arc::new(Static::new(instances)))
    }
}

/// What a host needs to run an instance of a service, again after each crash.
#[derive(Clone)]
pub(super) struct Instance {
    pub(super) site: Site,
    pub(super) name: &'static str,
    pub(super) database: PathBuf,
    pub(super) disk: Disk,
    pub(super) identity: Identity,
    pub(super) random: Random,
    pub(super) traffic: Traffic,
    pub(super) lookout: Lookout,
    pub(super) orders: Orders,
    pub(super) town: Town,
}

impl Instance {
    /// Builds and runs the service as its own `main` does, until the host crashes or the service is told to end.
    pub(super) async fn run(self) -> turmoil::Result {
        let shutdown = self.orders.shutdown();
        let ended = match self.start().await {
            Ok(service) => service.run(shutdown.clone()).await,
            Err(error) => return self.end(Err(error.into())).await,
        };
        if shutdown.is_cancelled() && self.disk.is_alive(self.name) {
            self.orders.note_end(ended);
            return Ok(());
        }
        self.end(ended.map_err(anyhow::Error::from)).await
    }

    /// Starts until the disk takes what a start writes.
    async fn start(&self) -> Result<Service, StartError> {
        loop {
            let refused = self.disk.refused();
            match self.build().await {
                Err(_) if self.disk.refused() > refused && self.disk.is_alive(self.name) => {
                    tokio::time::sleep(BETWEEN_STARTS).await;
                }
                built => return built,
            }
        }
    }

    async fn build(&self) -> Result<Service, StartError> {
        let platform = self.platform();
        match self.site {
            Site::Users => {
                let database = self.database();
                user_service::build(user_service::Config { database, password_cost: CHEAPEST }, platform)
                    .await
            }
            Site::Auth => auth_service::build(self.auth(), platform).await,
            Site::Gateway => api_gateway::build(gateway(), platform).await,
        }
    }

    fn auth(&self) -> auth_service::Config {
        auth_service::Config {
            database: self.database(),
            sealing: SealingKey::new(&[7; SealingKey::LENGTH]),
            lifetimes: Lifetimes::default(),
            key_max_age: KEY_MAX_AGE,
            failures: Failures::default(),
        }
    }

    fn platform(&self) -> Platform {
        let net = Net::over(SimulatedNetwork::of(self.name, &self.traffic));
        let env = Env::simulated(time::clock(), self.random.clone(), net);
        let service = ServiceName::new(self.site.service());
        let town = Arc::clone(&self.town.0);
        let platform =
            Platform::new(service, env, self.identity.clone(), TrustDomain::default(), listeners(), town);
        self.lookout.watch(self.name, platform)
    }

    fn database(&self) -> database::Config {
        let file = SqliteConfig::at(self.database.clone());
        database::Config::sqlite(SqliteConfig { vfs: Some(self.name.to_owned()), ..file })
    }

    /// Nobody told it to end.
    async fn end(&self, how: anyhow::Result<()>) -> turmoil::Result {
        if !self.disk.is_alive(self.name) {
            // Its calls failed because it is dead already; the crash follows at the end of this tick.
            pending::<()>().await;
        }
        Err(anyhow!("{} ended by itself: {how:?}", self.name).into())
    }
}

/// Keys are rotated when the operator says so.
const KEY_MAX_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Customers are on other machines, and nothing between them and the gateway can be listened to.
fn gateway() -> api_gateway::Config {
    api_gateway::Config {
        front: FrontConfig {
            addr: SocketAddr::from((Ipv4Addr::UNSPECIFIED, PUBLIC_PORT)),
            tls: FrontTls::Terminated,
        },
        routes: Routes::default(),
        limits: LimitsConfig::default(),
        proxies: Proxies::default(),
    }
}

/// The least that Argon2 computes with: what it costs is not what is simulated.
const CHEAPEST: Cost = Cost { memory_kib: 8, iterations: 1, parallelism: 1 };

fn listeners() -> Listeners {
    /// So long that what comes last has time even where a call hangs, and so short that the other faults go on in time.
    const DRAIN: Duration = Duration::from_secs(30);
    let at = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    Listeners {
        http: at(HTTP_PORT),
        grpc: at(GRPC_PORT),
        admin: at(ADMIN_PORT),
        drain_timeout: DRAIN,
        ..Listeners::local()
    }
}
