use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Whether an instance is passed over because it could not be connected to. It is no circuit breaker: nothing was sent,
/// and where nobody else is left, connecting is tried again.
#[derive(Debug)]
pub(super) struct Away {
    made: Instant,
    /// In microseconds since then; zero while it is not away.
    until: AtomicU64,
}

impl Default for Away {
    fn default() -> Self {
        Self { made: Instant::now(), until: AtomicU64::new(0) }
    }
}

impl Away {
    /// As often one request finds out whether it is back. The others need not wait for a host that says nothing.
    pub(super) const PAUSE: Duration = Duration::from_secs(1);

    /// Whether a request may try the instance: always while it is not away, else one in each pause.
    pub(super) fn lets_through(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        let (now, next) = self.now_and_next();
        let is_due = until <= now;
        is_due && self.until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Answers whether this is news.
    pub(super) fn begin(&self) -> bool {
        let (_, next) = self.now_and_next();
        self.until.swap(next, Ordering::Relaxed) == 0
    }

    pub(super) fn has_begun(&self) -> bool {
        self.until.load(Ordering::Relaxed) != 0
    }

    /// Answers whether this is news.
    pub(super) fn end(&self) -> bool {
        self.has_begun() && self.until.swap(0, Ordering::Relaxed) != 0
    }

    fn now_and_next(&self) -> (u64, u64) {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let elapsed = self.made.elapsed();
        (micros(elapsed), micros(elapsed + Self::PAUSE))
    }
}
