mod config;
mod permit;
mod tally;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use types::{Classify, ErrorClass};

pub use self::config::BreakerConfig;
pub use self::permit::Permit;
use self::tally::Tally;

/// Keeps calls from a callee that fails, and tries it again with one call at a time (the circuit breaker of Nygard,
/// "Release It!").
///
/// *Closed*: everything may be sent, and what comes of it is counted. *Open*: nothing may be sent until the pause is
/// over. *Half-open*: one call may be sent as a trial; its success closes, anything else opens for another pause: a
/// trial of which nothing was learnt, too, as otherwise each call would be the next trial of a callee that is not well
/// yet. The pause does not grow, so that a callee that is back is soon used again; to spread the trials of many callers
/// is theirs.
///
/// Each change of state begins a new generation. What comes of a call that was let in by an earlier one changes nothing:
/// a late success never closes an open breaker, and a late failure never opens a closed one again.
///
/// Clones are the same breaker.
#[derive(Clone, Debug)]
pub struct CircuitBreaker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: BreakerConfig,
    /// The generation while it is closed, otherwise [`NOT_CLOSED`]: a closed breaker is entered without the lock.
    closed: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    generation: u64,
    phase: Phase,
    tally: Tally,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed,
    Open {
        until: Instant,
    },
    /// The trial is under way.
    HalfOpen,
}

/// No generation has this number.
const NOT_CLOSED: u64 = 0;

/// What a breaker lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Everything.
    Closed,
    /// Nothing.
    Open,
    /// One call at a time, as a trial.
    HalfOpen,
}

impl State {
    /// In one word, for operators.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The callee answered as it should, be it with a refusal.
    Success,
    /// The callee was not reached or did not answer: counts in a row and in the rate.
    Failure,
    /// The callee answered with a fault of its own: counts in the rate alone, so that one poisonous request, sent again
    /// and again when there are few others, does not open the breaker for all.
    Fault,
    /// Nothing was learnt of the callee, because the caller left or was refused: counts nowhere, and closes nothing.
    Nothing,
}

/// A state that was entered, for logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// From closed, or from half-open because the trial did not succeed.
    Opened,
    /// From open, because its pause was over.
    HalfOpened,
    /// From half-open, because the trial succeeded.
    Closed,
}

/// Nothing was sent, because the callee failed lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its circuit breaker is open")]
pub struct Open {
    /// When the next trial is due, as far as that is known.
    pub retry_after: Duration,
}

impl Classify for Open {
    fn class(&self) -> ErrorClass {
        ErrorClass::Unavailable
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(self.retry_after)
    }
}

impl CircuitBreaker {
    /// A closed one.
    pub fn new(config: BreakerConfig) -> Self {
        let generation = NOT_CLOSED + 1;
        let inner = Inner { generation, phase: Phase::Closed, tally: Tally::new(&config) };
        Self(Arc::new(Shared { config, closed: AtomicU64::new(generation), inner: Mutex::new(inner) }))
    }

    /// Lets in one call, or not. The permit goes back by [`Self::leave`]; one that is dropped has the verdict
    /// [`Verdict::Nothing`], so that a lost trial does not keep others out for good.
    ///
    /// # Errors
    /// [`Open`]: the breaker is open, or it is half-open and the trial is under way.
    pub fn try_enter(&self) -> Result<Permit, Open> {
        match self.0.closed.load(Ordering::Acquire) {
            NOT_CLOSED => self.enter_slowly(),
            generation => Ok(Permit::of_closed(generation)),
        }
    }

    /// Whether [`Self::try_enter`] would let one in now. It takes no permit.
    pub fn would_enter(&self) -> bool {
        self.0.closed.load(Ordering::Acquire) != NOT_CLOSED || self.0.inner().phase.lets_in()
    }

    /// When the next trial is due, as far as that is known, unless it is closed. Asking changes nothing.
    pub fn open(&self) -> Option<Open> {
        let phase = self.0.inner().phase;
        let retry_after = || phase.next_trial(&self.0.config);
        (!matches!(phase, Phase::Closed)).then(|| Open { retry_after: retry_after() })
    }

    /// Whether it is closed, which is all that there is to know of most breakers most of the time.
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire) != NOT_CLOSED
    }

    /// Whether a call with `permit` would still be let in: the state has not changed since.
    pub fn still_lets_in(&self, permit: &Permit) -> bool {
        permit.is_trial() || self.0.closed.load(Ordering::Acquire) == permit.generation()
    }

    /// Gives a permit back with what came of its call, and tells whether that changed the state.
    pub fn leave(&self, permit: Permit, verdict: Verdict) -> Option<Change> {
        if verdict == Verdict::Nothing && !permit.is_trial() {
            // It counts nowhere.
            return None;
        }
        self.judge(permit.spent(), verdict)
    }

    fn judge(&self, generation: u64, verdict: Verdict) -> Option<Change> {
        let mut inner = self.0.inner();
        let change = inner.judge(generation, verdict, &self.0.config);
        if change.is_some() {
            self.0.publish(&inner);
        }
        change
    }

    /// The state at this moment; an open breaker whose pause is over is half-open.
    pub fn state(&self) -> State {
        match self.0.inner().phase {
            Phase::Closed => State::Closed,
            Phase::Open { until } if until > Instant::now() => State::Open,
            Phase::Open { .. } | Phase::HalfOpen => State::HalfOpen,
        }
    }

    /// Awaits `work` if it may be sent, and judges what came of it. Where there is a fallback, it is one word more:
    /// `breaker.call(work, judge).await.unwrap_or_else(|_open| fallback)`.
    ///
    /// # Errors
    /// [`Open`]: `work` was not begun.
    pub async fn call<F: Future>(
        &self,
        work: F,
        judge: impl FnOnce(&F::Output) -> Verdict,
    ) -> Result<F::Output, Open> {
        let permit = self.try_enter()?;
        let outcome = work.await;
        self.leave(permit, judge(&outcome));
        Ok(outcome)
    }

    fn enter_slowly(&self) -> Result<Permit, Open> {
        let mut inner = self.0.inner();
        match inner.phase {
            Phase::Closed => return Ok(Permit::of_closed(inner.generation)),
            Phase::Open { .. } | Phase::HalfOpen => {}
        }
        let retry_after = inner.phase.next_trial(&self.0.config);
        if !retry_after.is_zero() {
            return Err(Open { retry_after });
        }
        inner.begin(Phase::HalfOpen);
        Ok(Permit::of_trial(inner.generation, self))
    }
}

impl Shared {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who do not take the lock.
    fn publish(&self, inner: &Inner) {
        let is_closed = matches!(inner.phase, Phase::Closed);
        self.closed.store(if is_closed { inner.generation } else { NOT_CLOSED }, Ordering::Release);
    }
}

impl Inner {
    fn judge(&mut self, generation: u64, verdict: Verdict, config: &BreakerConfig) -> Option<Change> {
        if generation != self.generation {
            return None;
        }
        match (self.phase, verdict) {
            (Phase::Closed, verdict) => self.tally.counts_to_open(verdict, config).then(|| self.open(config)),
            (Phase::HalfOpen, Verdict::Success) => {
                self.begin(Phase::Closed);
                Some(Change::Closed)
            }
            (Phase::HalfOpen, Verdict::Failure | Verdict::Fault | Verdict::Nothing) => {
                Some(self.open(config))
            }
            // It let nobody in.
            (Phase::Open { .. }, _) => None,
        }
    }

    fn open(&mut self, config: &BreakerConfig) -> Change {
        self.begin(Phase::Open { until: Instant::now() + config.pause });
        Change::Opened
    }

    fn begin(&mut self, phase: Phase) {
        self.generation += 1;
        self.phase = phase;
        self.tally.clear();
    }
}

impl Phase {
    fn lets_in(self) -> bool {
        match self {
            Self::Closed => true,
            Self::Open { until } => until <= Instant::now(),
            Self::HalfOpen => false,
        }
    }

    fn next_trial(self, config: &BreakerConfig) -> Duration {
        match self {
            Self::Closed => Duration::ZERO,
            Self::Open { until } => until.saturating_duration_since(Instant::now()),
            // How long the trial takes is not known, and another pause if it does not succeed.
            Self::HalfOpen => config.pause,
        }
    }
}
