//! What services send to each other.

use std::fmt;
use std::net::SocketAddr;

use resilience::Change;
use service_client::{Event, What};
use types::ServiceName;

use super::Micros;
use super::told::Moment;

/// A process that calls others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Caller {
    /// Where it runs.
    pub host: &'static str,
    /// Which it is of all that there have been: what one knew, the next one does not.
    pub life: u32,
}

/// The way from a process to a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// From whom.
    pub caller: Caller,
    /// To whom.
    pub callee: ServiceName,
    /// `grpc` or `http`.
    pub protocol: &'static str,
}

/// Something that happened to a request between services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// When.
    pub at: Micros,
    /// Whose request it is.
    pub caller: Caller,
    /// What.
    pub event: Event,
}

/// An instance that is not sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ailing {
    /// When it was found so.
    pub at: Micros,
    /// By whom it is not sent to.
    pub edge: Edge,
    /// Which.
    pub addr: SocketAddr,
    /// Whether it could not be connected to; else its circuit breaker is not closed.
    pub is_away: bool,
    /// How many the callee has.
    pub instances: usize,
}

impl Sight {
    /// What it is in words, if anybody would tell it.
    pub(super) fn told(&self) -> Option<String> {
        let What::Left { addr, change: Some(change), .. } = &self.event.what else { return None };
        let word = match change {
            Change::Opened => "opens",
            Change::HalfOpened => "half opens",
            Change::Closed => "closes",
        };
        Some(format!("{} the circuit breaker of {} for {addr} {word}", Moment(self.at), self.caller.host))
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { caller: Caller { host, life }, callee, protocol } = self;
        write!(f, "{host} (process {life}) to {callee} over {protocol}")
    }
}

impl fmt::Display for Ailing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, edge, addr, is_away, .. } = self;
        let how = if *is_away { "is away" } else { "has no closed circuit breaker" };
        write!(f, "{} {edge}: {addr} {how}", Moment(*at))
    }
}
