//! On which terms a service is called, and what may be tried again.
//!
//! From outside in: the *deadline*, which bounds all that follows; the *bulkhead*, so that a service that hangs takes up
//! no more of this process than it may; the *attempts*, of which those after the first come out of a budget. Which
//! instance an attempt goes to, and whether that one's circuit breaker lets it, is the next layer's to say.

mod attempts;
mod terms;

use std::collections::BTreeMap;
use std::time::Duration;

use proto::Repeatable;
use resilience::{Backoff, BreakerConfig, Bulkhead, RetryBudget, RetryBudgetConfig};
use runtime::{Deadline, Random};
use types::ServiceName;

pub(crate) use self::attempts::{Attempts, Came};
pub use self::terms::{CalleeConfig, Callees, Terms};
use crate::metrics::CalleeMetrics;
use crate::witness::Watcher;
use crate::{CalleeStatus, InstanceStatus, SendError, What};

/// Before the first repetition at most, and before any. It spreads what has failed at the same moment, and is short
/// beside what a person notices.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(25), longest: Duration::from_secs(1) };

/// Whoever asks to be left alone for longer is not waited for: the caller, who is told so, waits better by itself than in
/// a place that others could use, and a service that has too much to do refuses at once all the way.
const LONGEST_REST: Duration = Duration::from_millis(250);

/// The way from this service to another.
#[derive(Debug)]
pub(crate) struct Callee {
    service: ServiceName,
    protocol: &'static str,
    breaker: BreakerConfig,
    usual: Lane,
    /// By what the path begins with.
    special: BTreeMap<String, Lane>,
    budget: RetryBudget,
    random: Random,
    metrics: CalleeMetrics,
    watcher: Watcher,
}

/// What is called on the same terms.
#[derive(Debug)]
pub(crate) struct Lane {
    terms: Terms,
    bulkhead: Bulkhead,
}

impl Callee {
    pub(crate) fn new(
        (service, protocol): (&ServiceName, &'static str),
        config: &CalleeConfig,
        random: &Random,
        metrics: CalleeMetrics,
        watcher: &Watcher,
    ) -> Self {
        let special = config.special.iter().map(|(path, terms)| (path.clone(), Lane::new(*terms)));
        Self {
            service: service.clone(),
            protocol,
            breaker: config.breaker,
            usual: Lane::new(config.terms),
            special: special.collect(),
            budget: RetryBudget::new(RetryBudgetConfig::default()),
            random: random.clone(),
            metrics,
            watcher: watcher.clone(),
        }
    }

    pub(crate) fn breaker(&self) -> BreakerConfig {
        self.breaker
    }

    pub(crate) fn usual(&self) -> Terms {
        self.usual.terms
    }

    /// The terms for `path`: of those that it begins with the longest.
    pub(crate) fn lane(&self, path: &str) -> &Lane {
        let special = self.special.iter().rev().find(|(begins, _)| path.starts_with(begins.as_str()));
        special.map_or(&self.usual, |(_, lane)| lane)
    }

    /// Begins with a request of `lane` for `path`; whether it is `repeatable` matters where it is not known what became
    /// of it.
    ///
    /// # Errors
    /// As many as may are under way and waiting already, or the deadline passes before its turn.
    pub(crate) async fn begin<'a>(
        &'a self,
        (lane, path): (&'a Lane, &str),
        deadline: Deadline,
        repeatable: Repeatable,
    ) -> Result<Attempts<'a>, SendError> {
        let place = lane.bulkhead.enter(deadline).await.map_err(|error| {
            let error = SendError::crowded(&self.service, error);
            self.metrics.ended(&Err::<(), _>(&error));
            error
        })?;
        self.budget.request();
        let watch = self.watcher.next();
        watch.tell(|| What::Began {
            callee: self.service.clone(),
            protocol: self.protocol,
            path: path.to_owned(),
            repeatable,
            left: deadline.remaining(),
        });
        Ok(Attempts::begin(self, lane.terms, deadline, repeatable, place, watch))
    }

    pub(crate) fn status(&self, instances: Vec<InstanceStatus>) -> CalleeStatus {
        let special = self.special.iter().map(|(path, lane)| (path.clone(), lane.terms));
        let terms = std::iter::once((String::new(), self.usual.terms)).chain(special).collect();
        CalleeStatus { callee: self.service.clone(), protocol: self.protocol, terms, instances }
    }
}

impl Lane {
    pub(crate) fn new(terms: Terms) -> Self {
        Self { terms, bulkhead: Bulkhead::new(terms.bulkhead) }
    }

    /// The earlier of `deadline` and the lane's own.
    pub(crate) fn within(&self, deadline: Deadline) -> Deadline {
        self.terms.timeout.map_or(deadline, |timeout| deadline.at_most(timeout))
    }
}
