use std::time::Duration;

use super::framing::Patience;

/// How much a listener takes on, and how long it waits for anybody.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once. Beyond it new ones are closed.
    pub connections: usize,
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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A peer holds a handful of them. At about 20 KiB each they are 20 MiB, within the 1,024 files that a
            // process usually may open.
            connections: 1_000,
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
        }
    }
}

impl Limits {
    pub(super) fn patience(&self) -> Patience {
        Patience { head: self.head, write: self.write, close: self.close }
    }
}
