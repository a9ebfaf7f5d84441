use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// When something was last heard of.
#[derive(Debug)]
pub(crate) struct Heard {
    made: Instant,
    /// In microseconds since then.
    last: AtomicU64,
}

impl Default for Heard {
    fn default() -> Self {
        Self { made: Instant::now(), last: AtomicU64::new(0) }
    }
}

impl Heard {
    /// Notes that it is `now`.
    pub(crate) fn note(&self, now: Instant) {
        let micros = u64::try_from((now - self.made).as_micros()).unwrap_or(u64::MAX);
        self.last.fetch_max(micros, Ordering::Relaxed);
    }

    /// When it was; if never, when this was made.
    pub(crate) fn last(&self) -> Instant {
        self.made + Duration::from_micros(self.last.load(Ordering::Relaxed))
    }

    /// Whether there was nothing since `began`.
    pub(crate) fn nothing_since(&self, began: Instant) -> bool {
        self.last() <= began
    }
}
