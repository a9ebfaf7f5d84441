use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use chassis::{Listeners, Platform, Service, StartError};
use database::SqliteConfig;
use discovery::Registry;
use runtime::{Env, Net, Random};
use service_auth::{Identity, TrustDomain};
use types::ServiceName;
use user_service::{Config, Cost};

use crate::faults::Orders;
use crate::hosts::{GRPC_PORT, SERVICE};
use crate::net::{SimulatedNetwork, Traffic};
use crate::storage::Disk;
use crate::time;

/// After a start that the disk refused; whoever looks after processes waits about so long.
const BETWEEN_STARTS: Duration = Duration::from_millis(200);

/// What a host needs to run an instance of user-service, again after each crash.
#[derive(Clone)]
pub(super) struct Instance {
    pub(super) name: &'static str,
    pub(super) database: PathBuf,
    pub(super) disk: Disk,
    pub(super) identity: Identity,
    pub(super) random: Random,
    pub(super) traffic: Traffic,
    pub(super) orders: Orders,
}

impl Instance {
    /// Builds and runs the service as its own `main` does, until the host crashes or the service is told to end.
    pub(super) async fn run(self) -> turmoil::Result {
        let shutdown = self.orders.start();
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
        let net = Net::over(SimulatedNetwork::of(self.name, &self.traffic));
        let env = Env::simulated(time::clock(), self.random.clone(), net);
        let identity = self.identity.clone();
        let (trust_domain, discovery) = (TrustDomain::default(), Arc::new(Registry::default()));
        let platform = Platform::new(name(), env, identity, trust_domain, listeners(), discovery);
        let file =
            SqliteConfig { vfs: Some(self.name.to_owned()), ..SqliteConfig::at(self.database.clone()) };
        let config = Config { database: database::Config::sqlite(file), password_cost: CHEAPEST };
        user_service::build(config, platform).await
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

/// The least that Argon2 computes with: what it costs is not what is simulated.
const CHEAPEST: Cost = Cost { memory_kib: 8, iterations: 1, parallelism: 1 };

fn listeners() -> Listeners {
    /// Longer than any request or commit takes, and so short that the other faults go on in time.
    const DRAIN: Duration = Duration::from_secs(15);
    let at = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    Listeners {
        http: at(3_000),
        grpc: at(GRPC_PORT),
        admin: at(9_000),
        drain_timeout: DRAIN,
        ..Listeners::local()
    }
}

/// The service's name.
pub(super) fn name() -> ServiceName {
    SERVICE.parse().expect("it is the name of a service")
}
