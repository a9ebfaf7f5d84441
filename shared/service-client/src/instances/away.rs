use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Whether an instance is passed over because it could not be connected to, and when to connect to it again: before its
/// circuit breaker opens. Where nobody else is left, requests connect to it by themselves.
#[derive(Debug)]
pub(super) struct Away {
    made: Instant,
    how: AtomicU8,
    /// When it is to be connected to without a request that waits, in microseconds since then.
    next: AtomicU64,
}

/// Why an instance could not be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It, or the way to it, gave no answer, or a wrong one.
    Unreached = 1,
    /// Its host answered that nobody listens there: what comes back is a process that has begun anew.
    Gone = 2,
}

impl Default for Away {
    fn default() -> Self {
        Self { made: Instant::now(), how: AtomicU8::new(HERE), next: AtomicU64::new(0) }
    }
}

const HERE: u8 = 0;

impl Away {
    /// As often it is found out whether an instance is back.
    pub(super) const PAUSE: Duration = Duration::from_secs(1);

    /// Whether the instance is to be connected to now. It is so for one who asks in each pause.
    pub(super) fn is_due(&self) -> bool {
        let next = self.next.load(Ordering::Relaxed);
        next <= self.micros(Duration::ZERO)
            && self
                .next
                .compare_exchange(next, self.micros(Self::PAUSE), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Answers whether this is news.
    pub(super) fn begin(&self, reason: Reason) -> bool {
        let is_news = self.how.fetch_max(reason as u8, Ordering::Relaxed) == HERE;
        if is_news {
            self.next.fetch_max(self.micros(Self::PAUSE), Ordering::Relaxed);
        }
        is_news
    }

    pub(super) fn has_begun(&self) -> bool {
        self.how.load(Ordering::Relaxed) != HERE
    }

    /// Answers what it was away for, if it was.
    pub(super) fn end(&self) -> Option<Reason> {
        if !self.has_begun() {
            return None;
        }
        match self.how.swap(HERE, Ordering::Relaxed) {
            HERE => None,
            how if how == Reason::Gone as u8 => Some(Reason::Gone),
            _ => Some(Reason::Unreached),
        }
    }

    /// The moment `from_now`.
    fn micros(&self, from_now: Duration) -> u64 {
        u64::try_from((self.made.elapsed() + from_now).as_micros()).unwrap_or(u64::MAX)
    }
}
