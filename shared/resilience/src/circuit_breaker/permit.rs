use super::{Change, CircuitBreaker, Verdict};

/// Leave for one call, from [`CircuitBreaker::try_enter`]. It borrows nothing and may be kept beside whatever owns the
/// breaker.
#[derive(Debug)]
#[must_use = "what came of the call is told by `leave`"]
pub struct Permit {
    generation: u64,
    /// Of a trial alone: there is one of them, and it has to come back.
    trial: Option<CircuitBreaker>,
}

impl Permit {
    pub(super) fn of_closed(generation: u64) -> Self {
        Self { generation, trial: None }
    }

    pub(super) fn of_trial(generation: u64, breaker: &CircuitBreaker) -> Self {
        Self { generation, trial: Some(breaker.clone()) }
    }

    /// Whether the breaker is half-open and this is its one trial.
    pub fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// The change of state that came with it, for logs and metrics.
    pub fn change(&self) -> Option<Change> {
        self.is_trial().then_some(Change::HalfOpened)
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Its generation; dropping what is left of it has no effect.
    pub(super) fn spent(mut self) -> u64 {
        self.trial = None;
        self.generation
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(breaker) = self.trial.take() {
            // Nobody is left to be told what that changes.
            breaker.judge(self.generation, Verdict::Nothing);
        }
    }
}
