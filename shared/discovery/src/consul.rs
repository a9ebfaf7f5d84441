//! Consul's catalogue: an agent that instances register with and that tells when the healthy ones change.
//!
//! Source: Consul's HTTP API, `/v1/health/service`, `/v1/agent/service` and `/v1/agent/check`, and its rules for
//! blocking queries.

mod agent;
mod catalogue;
mod config;
mod keep;
mod watching;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use runtime::Env;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use types::ServiceName;

use self::agent::Agent;
pub use self::agent::SetupError;
pub use self::config::{CheckKind, ConsulConfig, ConsulTls, NoAuthorityError};
use self::keep::{Instance, Kept};
use crate::discover::Keeper;
use crate::watches::Watches;
use crate::{Discover, Endpoint, Endpoints, Registration, Standing};

/// The services that an agent of Consul knows. While it is away the last sets are kept, and registrations are made again
/// as soon as it is back.
pub struct Consul {
    env: Env,
    config: Arc<ConsulConfig>,
    agent: Arc<Agent>,
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
        Ok(Self { env: env.clone(), config: Arc::new(config), agent, watches, kept: Kept::default() })
    }

    /// The address by which others reach what listens on `addr`.
    fn advertised(&self, addr: SocketAddr) -> SocketAddr {
        let ip = self.config.advertise.unwrap_or_else(|| match addr.ip() {
            // On every address: the settings want one to advertise unless all are on this machine.
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        });
        SocketAddr::new(ip, addr.port())
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
        let health = health.map(|addr| match addr.ip().is_unspecified() {
            true => self.advertised(addr),
            false => addr,
        });
        let health = health.filter(|_| self.config.check == CheckKind::Http);
        let tag = self.config.tag.clone();
        let instance = Instance::new(service, Endpoint { http, grpc }, health, tag);
        let (stop, withdrawn) = (CancellationToken::new(), CancellationToken::new());
        let keeping = self.kept.keep(Arc::clone(&self.agent), &self.env.random, instance);
        let task = self.env.tasks.spawn("discovery-register", keeping.until(stop.clone(), withdrawn.clone()));
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
