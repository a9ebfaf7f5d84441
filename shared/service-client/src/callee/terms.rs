use std::collections::BTreeMap;
use std::time::Duration;

use resilience::{BreakerConfig, BulkheadConfig};
use types::ServiceName;

/// How the other services are called. What is not named is called as [`CalleeConfig::default`] says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callees(pub BTreeMap<ServiceName, CalleeConfig>);

/// How one service is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalleeConfig {
    /// For all that is not `special`.
    pub terms: Terms,
    /// By what a path begins with in whole segments, such as `/userservice.UserService/GetUser`.
    pub special: BTreeMap<String, Terms>,
}

/// The terms on which requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The longest that an answer is waited for; where there is none, as long as the caller's own deadline.
    pub timeout: Option<Duration>,
    /// How often a request is sent at most: two or more where what failed may be tried again.
    pub attempts: u32,
    /// How many requests wait for their answers at the same time, and how many for a place among those.
    pub bulkhead: BulkheadConfig,
    /// When an instance is left out. Where it is another than the callee's own, these requests have connections and
    /// breakers of their own: what comes of others says nothing of them.
    pub breaker: BreakerConfig,
    /// Whether the callee keeps the `Idempotency-Key` of a request, so that one that has it may be sent again.
    pub keyed: bool,
}

/// The terms that some requests of a caller have of their own; what is absent is as their callee's have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnTerms {
    /// As [`Terms::timeout`]; the shorter of both is kept.
    pub timeout: Option<Duration>,
    /// As [`Terms::attempts`].
    pub attempts: Option<u32>,
    /// As [`BulkheadConfig::at_once`], for all of these requests together and for no others.
    pub at_once: Option<u32>,
    /// As [`Terms::keyed`].
    pub keyed: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            timeout: None,
            // A third instance is asked when two have failed. Beyond that it is the service that fails.
            attempts: 3,
            // Eight instances full, which keep 128 MiB of bodies at the very most; and as many in line as have their
            // turn after about one answer.
            bulkhead: BulkheadConfig { at_once: 2_000, waiting: 500 },
            breaker: BreakerConfig::default(),
            // Who does not keep keys would do it twice.
            keyed: false,
        }
    }
}

impl OwnTerms {
    /// `terms`, with these over them.
    pub(super) fn over(&self, terms: &Terms) -> Terms {
        Terms {
            timeout: self.timeout.into_iter().chain(terms.timeout).min(),
            attempts: self.attempts.unwrap_or(terms.attempts),
            bulkhead: self.at_once.map_or(terms.bulkhead, |at_once| self.bulkhead(at_once, terms)),
            keyed: self.keyed || terms.keyed,
            ..*terms
        }
    }

    pub(super) fn bulkhead(&self, at_once: u32, terms: &Terms) -> BulkheadConfig {
        BulkheadConfig { at_once, ..terms.bulkhead }
    }
}
