use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use chassis::{Listeners, Platform};
use database::SqliteConfig;
use runtime::{Env, Net, Random};
use service_auth::{Identity, TrustDomain};
use tokio_util::sync::CancellationToken;
use types::ServiceName;
use user_service::{Config, Cost};

use crate::hosts::{GRPC_PORT, SERVICE};
use crate::net::SimulatedNetwork;
use crate::storage::Disk;
use crate::time;

/// What a host needs to run an instance of user-service, again after each crash.
#[derive(Clone)]
pub(super) struct Instance {
    pub(super) name: &'static str,
    pub(super) database: PathBuf,
    pub(super) disk: Disk,
    pub(super) identity: Identity,
    pub(super) random: Random,
}

impl Instance {
    /// Builds and runs the service as its own `main` does, until the host crashes.
    pub(super) async fn run(self) -> turmoil::Result {
        let (name, disk) = (self.name, self.disk.clone());
        match self.serve().await {
            // Its calls failed because it is dead already; the crash follows at the end of this tick.
            Err(_) if !disk.is_alive(name) => pending().await,
            ended => Err(format!("{name} ended by itself: {ended:?}").into()),
        }
    }

    async fn serve(self) -> anyhow::Result<()> {
        let env = Env::simulated(time::clock(), self.random, Net::over(SimulatedNetwork));
        let platform = Platform::new(name(), env, self.identity, TrustDomain::default(), listeners());
        let file = SqliteConfig { vfs: Some(self.name.to_owned()), ..SqliteConfig::at(self.database) };
        let config = Config { database: database::Config::sqlite(file), password_cost: CHEAPEST };
        let service = user_service::build(config, platform).await?;
        service.run(CancellationToken::new()).await?;
        Ok(())
    }
}

/// The least that Argon2 computes with: what it costs is not what is simulated.
const CHEAPEST: Cost = Cost { memory_kib: 8, iterations: 1, parallelism: 1 };

fn listeners() -> Listeners {
    let at = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    Listeners { http: at(3_000), grpc: at(GRPC_PORT), admin: at(9_000), ..Listeners::local() }
}

/// The service's name.
pub(super) fn name() -> ServiceName {
    SERVICE.parse().expect("it is the name of a service")
}
