use std::time::Duration;

use types::{Classify, ErrorClass};

/// It is too much now; it will be allowed after this time, if nothing comes between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too often, the next time is in {} s", self.seconds())]
pub struct RetryAfter(
    /// How long to wait.
    pub Duration,
);

impl RetryAfter {
    /// In whole seconds and never too few, as the header `retry-after` wants it.
    pub fn seconds(self) -> u64 {
        self.0.as_secs() + u64::from(self.0.subsec_nanos() > 0)
    }
}

impl Classify for RetryAfter {
    fn class(&self) -> ErrorClass {
        ErrorClass::TooMany
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(self.0)
    }
}
