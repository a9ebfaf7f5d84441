use telemetry::Metrics;
use telemetry::metrics::{Counter, Family};
use types::{Classify as _, ServiceName};

use crate::SendError;

type Labels = Vec<(&'static str, String)>;

/// Counts what is sent to other services.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutboundMetrics {
    requests: Family<Labels, Counter>,
    attempts: Family<Labels, Counter>,
    retries: Family<Labels, Counter>,
}

/// The same for one of them.
#[derive(Debug)]
pub(crate) struct CalleeMetrics {
    callee: String,
    answered: Counter,
    attempts: Counter,
    retries: Counter,
    all: OutboundMetrics,
}

impl OutboundMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            requests: metrics.register(
                "flotilla_outbound_requests",
                "Requests to other services, by how they ended",
                Family::default(),
            ),
            attempts: metrics.register(
                "flotilla_outbound_attempts",
                "Requests as they were sent, each repetition by itself",
                Family::default(),
            ),
            retries: metrics.register(
                "flotilla_outbound_retries",
                "Attempts after the first",
                Family::default(),
            ),
        }
    }

    pub(crate) fn callee(&self, callee: &ServiceName) -> CalleeMetrics {
        let callee = callee.to_string();
        let labels = vec![("callee", callee.clone())];
        CalleeMetrics {
            answered: self.requests.get_or_create_owned(&outcome(&callee, "answered")),
            attempts: self.attempts.get_or_create_owned(&labels),
            retries: self.retries.get_or_create_owned(&labels),
            callee,
            all: self.clone(),
        }
    }
}

fn outcome(callee: &str, outcome: &str) -> Labels {
    vec![("callee", callee.to_owned()), ("outcome", outcome.to_owned())]
}

impl CalleeMetrics {
    pub(crate) fn attempt(&self) {
        self.attempts.inc();
    }

    pub(crate) fn repeated(&self) {
        self.attempts.inc();
        self.retries.inc();
    }

    pub(crate) fn ended(&self, how: &Result<(), &SendError>) {
        match how {
            Ok(()) => drop(self.answered.inc()),
            Err(error) => {
                let labels = outcome(&self.callee, error.class().as_str());
                self.all.requests.get_or_create(&labels).inc();
            }
        }
    }
}
