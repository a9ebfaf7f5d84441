use std::fmt;
use std::time::Duration;

use telemetry::Metrics;
use telemetry::metrics::{Counter, Family, Histogram, Labels, exponential_buckets};
use types::Classify as _;

use crate::CommitError;

/// What a database tells about itself.
#[derive(Clone)]
pub(crate) struct DatabaseMetrics {
    registry: Metrics,
    outcomes: Family<Labels<1>, Counter>,
    group_size: Histogram,
    group_seconds: Histogram,
}

impl DatabaseMetrics {
    pub(crate) fn new(registry: &Metrics) -> Self {
        let sizes = || Histogram::new(exponential_buckets(1.0, 2.0, 7));
        // From a commit on a fast local disk to one that nobody waits for any more.
        let seconds = || Histogram::new(exponential_buckets(0.000_25, 2.0, 15));
        let register = |name, help, histogram| registry.register(name, help, histogram);
        Self {
            outcomes: registry.register(
                "db_commits",
                "Batches and transactions by how they ended",
                Family::default(),
            ),
            group_size: register("db_group_batches", "Batches that shared one transaction", sizes()),
            group_seconds: register(
                "db_group_seconds",
                "Seconds from a group's begin to its last answer",
                seconds(),
            ),
            registry: registry.clone(),
        }
    }

    pub(crate) fn committed(&self, outcome: &Result<(), CommitError>) {
        let label = outcome.as_ref().map_or_else(|error| error.class().as_str(), |()| "committed");
        self.outcomes.get_or_create(&[("outcome", label)]).inc();
    }

    pub(crate) fn group(&self, batches: usize) {
        self.group_size.observe(f64::from(u32::try_from(batches).unwrap_or(u32::MAX)));
    }

    pub(crate) fn group_took(&self, time: Duration) {
        self.group_seconds.observe(time.as_secs_f64());
    }

    /// A gauge that is read when somebody asks.
    pub(crate) fn gauge(&self, name: &str, help: &str, read: impl Fn() -> usize + Send + Sync + 'static) {
        self.registry.gauge(name, help, move || i64::try_from(read()).unwrap_or(i64::MAX));
    }
}

impl fmt::Debug for DatabaseMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseMetrics")
    }
}
