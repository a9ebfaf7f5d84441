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
    /// When one of its instances is left out.
    pub breaker: BreakerConfig,
    /// By what a path begins with, such as `/userservice.UserService/GetUser`.
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
        }
    }
}
