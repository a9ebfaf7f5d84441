//! For the benchmark of what no caller does by itself.

use std::net::SocketAddr;

use discovery::Endpoints;
use resilience::BreakerConfig;
use runtime::Random;
use tokio::sync::watch;
use types::ServiceName;

use crate::SendError;
use crate::instances::{Connections, Instances, Reconnect};
use crate::witness::Watch;

/// Picks instances and sends them nothing.
#[derive(Debug)]
pub struct Picking(Instances<Nothing>);

#[derive(Debug, Default)]
struct Nothing;

impl Connections for Nothing {
    fn forget(&self) {}

    fn is_connected(&self) -> bool {
        true
    }
}

impl Picking {
    /// Among `endpoints`.
    pub fn among(service: &ServiceName, endpoints: watch::Receiver<Endpoints>, random: &Random) -> Self {
        Self(Instances::new(
            service,
            endpoints,
            |endpoint| endpoint.http,
            BreakerConfig::default(),
            random,
            Reconnect::by(drop),
        ))
    }

    /// The instance that a request would go to now.
    ///
    /// # Errors
    /// None is known.
    pub fn pick(&self) -> Result<SocketAddr, SendError> {
        Ok(self.0.search(&Watch::default()).next()?.instance.addr)
    }
}
