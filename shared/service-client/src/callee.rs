//! On which terms a service is called, and what may be tried again.
//!
//! From outside in: the *deadline*, which bounds all that follows; the *bulkhead*, so that a service that hangs takes up
//! no more of this process than it may; the *attempts*, of which those after the first come out of a budget. Which
//! instance an attempt goes to, and whether that one's circuit breaker lets it, is the next layer's to say.

mod attempts;
mod lanes;
mod terms;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::Repeatable;
use resilience::{Backoff, BreakerConfig, RetryBudget, RetryBudgetConfig};
use runtime::{Deadline, Random};
use types::ServiceName;

pub(crate) use self::attempts::{Attempts, Came};
pub(crate) use self::lanes::{Lane, Lanes};
pub use self::terms::{CalleeConfig, Callees, OwnTerms, Terms};
use crate::metrics::CalleeMetrics;
use crate::witness::Watcher;
use crate::{CalleeStatus, InstanceStatus, SendError, What};

/// Before the first repetition at most, and before any. It spreads what has failed at the same moment over a multiple of
/// what a refusal takes, and whoever is refused by all hears of it within ten milliseconds.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(5), longest: Duration::from_secs(1) };

/// Whoever asks to be left alone for longer is not waited for: the caller, who is told so, waits better by itself than in
/// a place that others could use, and a service that has too much to do refuses at once all the way.
const LONGEST_REST: Duration = Duration::from_millis(250);

/// The way from this service to another.
#[derive(Debug)]
pub(crate) struct Callee {
    service: ServiceName,
    protocol: &'static str,
    pub(crate) lanes: Lanes,
    /// The lanes of requests that have terms of their own, by what their paths begin with. There are as many as the
    /// caller's settings name.
    own: Mutex<Vec<(String, Arc<Lanes>)>>,
    budget: RetryBudget,
    random: Random,
    metrics: CalleeMetrics,
    watcher: Watcher,
}

impl Callee {
    pub(crate) fn new(
        (service, protocol): (&ServiceName, &'static str),
        config: &CalleeConfig,
        random: &Random,
        metrics: CalleeMetrics,
        watcher: &Watcher,
    ) -> Self {
        Self {
            service: service.clone(),
            protocol,
            lanes: Lanes::new(config),
            own: Mutex::default(),
            budget: RetryBudget::new(RetryBudgetConfig::default()),
            random: random.clone(),
            metrics,
            watcher: watcher.clone(),
        }
    }

    /// When the instances of each set are left out.
    pub(crate) fn breakers(&self) -> Vec<BreakerConfig> {
        self.lanes.breakers()
    }

    /// The lanes of requests whose paths begin with `path`, on terms of their `own`.
    pub(crate) fn on(&self, path: &str, own: &OwnTerms) -> Arc<Lanes> {
        let lanes = Arc::new(self.lanes.on(own));
        self.own().push((path.to_owned(), Arc::clone(&lanes)));
        lanes
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

    /// How each set of `instances` is called, and how they are.
    pub(crate) fn status(&self, instances: impl Iterator<Item = Vec<InstanceStatus>>) -> Vec<CalleeStatus> {
        let mut lanes: BTreeMap<_, _> = self.lanes.under("").map(told).collect();
        for (path, own) in &*self.own() {
            lanes.extend(own.under(path).map(told));
        }
        let of_set = |(set, instances)| CalleeStatus {
            callee: self.service.clone(),
            protocol: self.protocol,
            terms: lanes
                .iter()
                .filter(|(_, (of, _))| *of == set)
                .map(|(path, (_, terms))| (path.clone(), *terms))
                .collect(),
            instances,
        };
        instances.enumerate().map(of_set).collect()
    }

    fn own(&self) -> MutexGuard<'_, Vec<(String, Arc<Lanes>)>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told((path, lane): (&str, &Lane)) -> (String, (usize, Terms)) {
    (path.to_owned(), (lane.set, lane.terms))
}
