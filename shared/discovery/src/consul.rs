//! Consul's catalogue: an agent that instances register with and that tells when the healthy ones change.
//!
//! Source: Consul's HTTP API, `/v1/health/service`, `/v1/agent/service` and `/v1/agent/check`, and its rules for
//! blocking queries.

mod agent;
mod catalogue;
mod config;
mod keep;
mod readiness;
mod watching;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use runtime::Env;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use types::ServiceName;

use self::agent::Agent;
pub use self::agent::SetupError;
pub use self::config::{CheckKind, ConsulConfig, ConsulTls, Credentials, NoAuthorityError, Reread};
use self::keep::{Checked, Instance, Kept};
use self::readiness::Asker;
use crate::address::within_reach;
use crate::discover::Keeper;
use crate::watches::Watches;
use crate::{Discover, Endpoint, Endpoints, Registration, Standing};

/// The services that an agent of Consul knows. While it is away the last sets are kept, and registrations are made again
/// as soon as it is back.
pub struct Consul {
    env: Env,
    config: Arc<ConsulConfig>,
    agent: Arc<Agent>,
    asker: Asker,
    watches: Watches,
    kept: Kept,
}

impl Consul {
    /// The agent that `config` names. It is asked once somebody watches or registers.
    ///
    /// # Errors
    /// [`SetupError`]: there can be no client with these settings.
    pub fn new(env: &Env, config: ConsulConfig) -> Result<Self, SetupError> {
        let agent = Arc::new(Agent::new(&config)?);
        let watches = Watches::new(&env.tasks);
        let (asker, kept) = (Asker::new()?, Kept::default());
        Ok(Self { env: env.clone(), config: Arc::new(config), agent, asker, watches, kept })
    }

    /// The address by which others reach what listens on `addr`.
    fn advertised(&self, addr: SocketAddr) -> SocketAddr {
        // On every address: the settings want one to advertise unless all are on this machine.
        let near = within_reach(addr);
        SocketAddr::new(self.config.advertise.unwrap_or(near.ip()), addr.port())
    }

    /// How it is known whether the instance is well that says at `health` whether it is ready.
    fn checked(&self, health: Option<SocketAddr>) -> Checked {
        match (health, self.config.check) {
            (Some(addr), CheckKind::Http) if addr.ip().is_unspecified() => {
                Checked::ByAgent(self.advertised(addr))
            }
            (Some(addr), CheckKind::Http) => Checked::ByAgent(addr),
            (health, _) => Checked::ByUs(health.map(|addr| self.asker.at(within_reach(addr)))),
        }
    }
}

impl Discover for Consul {
    fn watch(&self, service: &ServiceName) -> watch::Receiver<Endpoints> {
        let (agent, random) = (Arc::clone(&self.agent), self.env.random.clone());
        self.watches.watch(service, |watched| watching::follow(agent, random, watched))
    }

    fn register_checked(
        &self,
        service: &ServiceName,
        endpoint: Endpoint,
        health: Option<SocketAddr>,
    ) -> Registration {
        let grpc = self.advertised(endpoint.grpc);
        // A service has one address at Consul; its ports differ.
        let http = SocketAddr::new(grpc.ip(), endpoint.http.port());
        let instance = Instance::new(service, Endpoint { http, grpc }, self.checked(health), &self.config);
        let (stop, (tell, withdrawn)) = (CancellationToken::new(), oneshot::channel());
        let keeping = self.kept.keep(Arc::clone(&self.agent), &self.env.random, instance);
        let task = self.env.tasks.spawn("discovery-register", keeping.until(stop.clone(), tell));
        Registration::kept_by(Keeper { stop, withdrawn, task })
    }

    fn standing(&self) -> Option<Standing> {
        Some(self.watches.standing().and(self.kept.standing()))
    }

    fn close(&self) {
        self.watches.close();
    }
}

impl fmt::Debug for Consul {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consul").field("config", &self.config).field("watches", &self.watches).finish()
    }
}
