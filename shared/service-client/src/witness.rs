//! What requests come to on their way, for whoever watches: a simulation that holds the stack to its rules.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proto::Repeatable;
use resilience::Change;
use types::ServiceName;

/// Is told of everything at the moment at which it happens. The request waits meanwhile.
pub type Witness = Arc<dyn Fn(Event) + Send + Sync>;

/// Something that happened to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which one, among those of one [`Outbound`](crate::Outbound).
    pub request: u64,
    /// What.
    pub what: What,
}

/// What may happen to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It has its place, and counts as a first attempt.
    Began {
        /// Who is called.
        callee: ServiceName,
        /// `grpc` or `http`.
        protocol: &'static str,
        /// What for.
        path: String,
        /// Whether it may be sent again where it is not known what became of it.
        repeatable: Repeatable,
        /// What is left of its deadline.
        left: Duration,
    },
    /// An instance is to be connected to, if need be, and to be sent to.
    Chosen {
        /// Which.
        addr: SocketAddr,
        /// Whether its circuit breaker is half-open and this is the one trial.
        is_trial: bool,
    },
    /// It goes out.
    Sent {
        /// To which instance.
        addr: SocketAddr,
        /// Which attempt this is, from one.
        number: u32,
        /// What the callee is told to be left of the deadline.
        left: Duration,
    },
    /// The attempt is over.
    Came(Outcome),
    /// What was chosen is left again.
    Left {
        /// Which instance.
        addr: SocketAddr,
        /// As it was chosen.
        is_trial: bool,
        /// What that did to its circuit breaker.
        change: Option<Change>,
    },
    /// Another attempt was paid for out of the budget.
    Paid,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer by which it was done, or could not be.
    Answered,
    /// Nothing happened.
    Undone,
    /// Nobody knows, since the instance fell silent and was left.
    Silent,
    /// Nobody knows.
    Unknown,
}

/// Who watches the requests of an [`Outbound`](crate::Outbound), if anybody does.
#[derive(Clone, Default)]
pub(crate) struct Watcher(Option<(Witness, Arc<AtomicU64>)>);

/// The same for one request.
#[derive(Clone, Default)]
pub(crate) struct Watch(Option<(Witness, u64)>);

impl Watcher {
    pub(crate) fn new(witness: Witness) -> Self {
        Self(Some((witness, Arc::default())))
    }

    pub(crate) fn next(&self) -> Watch {
        let next = |(witness, count): &(Witness, Arc<AtomicU64>)| {
            (Arc::clone(witness), count.fetch_add(1, Ordering::Relaxed))
        };
        Watch(self.0.as_ref().map(next))
    }
}

impl Watch {
    pub(crate) fn tell(&self, what: impl FnOnce() -> What) {
        if let Some((witness, request)) = &self.0 {
            witness(Event { request: *request, what: what() });
        }
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watcher").field(&self.0.is_some()).finish()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.0.as_ref().map(|(_, request)| request)).finish()
    }
}
