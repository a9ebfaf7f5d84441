use std::ops::RangeInclusive;
use std::time::Duration;

use super::framing::Patience;
use crate::{Configure, Settings};

/// How much a listener takes on, and how long it waits for anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. Beyond it new ones are closed.
    pub connections: usize,
    /// Of those, from one address, or network of IPv6, by clients who have not shown who they are.
    pub per_address: usize,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For a request's whole head, from its first byte; for the first one, from the connection's start.
    pub head: Duration,
    /// For the next request on a connection.
    pub idle: Duration,
    /// For a client to take any part of an answer.
    pub write: Duration,
    /// For a client to close its side after the server has.
    pub close: Duration,
    /// How long a connection lives. It ends between two requests.
    pub age: Duration,
    /// For what is in flight on a connection that has been told to end.
    pub leave: Duration,
}

impl Limits {
    /// Whoever takes all that an address may have leaves most of the connections to others.
    const ADDRESSES: usize = 10;
    /// What kubelet and Prometheus have open from one node, and to spare.
    const LEAST_PER_ADDRESS: usize = 8;
    const CONNECTIONS: RangeInclusive<usize> = 1..=100_000;
    const WAITS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3_600);
    const AGES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3_600);
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A peer holds a handful of them. Idle they are about 20 KiB each.
            connections: 1_000,
            per_address: 100,
            // Both outlast the loss of two packets in a row and hold a slot no longer than that.
            handshake: Duration::from_secs(5),
            head: Duration::from_secs(5),
            // Longer than the 60 seconds for which most proxies keep theirs, so that it is they who close.
            idle: Duration::from_secs(75),
            write: Duration::from_secs(15),
            // A round trip across the world, several times over.
            close: Duration::from_secs(1),
            // A connection keeps the certificates it was made with and the instance it was made to.
            age: Duration::from_secs(30 * 60),
            // Longer than any answer takes; only streams without an end are cut by it.
            leave: Duration::from_secs(60),
        }
    }
}

impl Configure for Limits {
    fn configure(settings: &mut Settings) -> Self {
        let default = Self::default();
        let connections = settings.number("MAX_CONNECTIONS", default.connections, Self::CONNECTIONS);
        Self {
            connections,
            per_address: connections.div_ceil(Self::ADDRESSES).max(Self::LEAST_PER_ADDRESS),
            handshake: settings.duration("HANDSHAKE_TIMEOUT", default.handshake, Self::WAITS),
            head: settings.duration("HEADER_TIMEOUT", default.head, Self::WAITS),
            idle: settings.duration("IDLE_TIMEOUT", default.idle, Self::WAITS),
            write: settings.duration("WRITE_TIMEOUT", default.write, Self::WAITS),
            age: settings.duration("MAX_CONNECTION_AGE", default.age, Self::AGES),
            ..default
        }
    }
}

impl Limits {
    pub(super) fn patience(&self) -> Patience {
        Patience { head: self.head, write: self.write, close: self.close }
    }
}
