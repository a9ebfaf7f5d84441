mod backoff;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use self::backoff::Backoff;
use crate::Percent;
use crate::window::Window;

/// How much may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudgetConfig {
    /// Of the first attempts.
    pub share: Percent,
    /// Besides the share, in each window: what a client with little traffic lives on.
    pub reserve: u32,
    /// How far back first attempts and retries are counted. It goes by tenths of this.
    pub window: Duration,
}

impl Default for RetryBudgetConfig {
    fn default() -> Self {
        Self {
            // A callee that fails altogether gets a tenth more than its load, and not its load three times.
            share: Percent::new(10),
            // One a second, which no callee notices.
            reserve: 10,
            // An instance that dies has to be found out within it, on what was saved up before.
            window: Duration::from_secs(10),
        }
    }
}

/// Bounds what retries add to the load of a callee: they are paid from a share of the first attempts (the retry budget
/// of Finagle). The share is of the traffic, so that trouble of a few requests is retried away, and trouble of all of
/// them is not made worse.
///
/// Whenever a retry is allowed, it holds of the window that ends with it: the retries are at most the share of the first
/// attempts and the reserve.
#[derive(Debug)]
pub struct RetryBudget {
    config: RetryBudgetConfig,
    attempts: Mutex<Window<Attempts, { KEPT as usize }>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Attempts {
    first: u32,
    retries: u32,
}

/// The slots of a window, that under way among them. First attempts are counted in these, of which the oldest is over.
const SLOTS: u64 = 10;
/// Retries are counted in one slot more, which reaches back to the beginning of the window and beyond: so the bound holds
/// to the moment and not only to the slot.
const KEPT: u64 = SLOTS + 1;

impl RetryBudget {
    /// One with its reserve and no more.
    pub fn new(config: RetryBudgetConfig) -> Self {
        Self { attempts: Mutex::new(Window::new(config.window / SLOTS as u32)), config }
    }

    /// Counts a first attempt.
    pub fn request(&self) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let first = &mut attempts.current().first;
        *first = first.saturating_add(1);
    }

    /// Allows a retry and charges it, or not.
    pub fn try_retry(&self) -> bool {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        // What is under way is the latest that is looked at.
        attempts.current();
        let first: u64 = attempts.latest(SLOTS).map(|slot| u64::from(slot.first)).sum();
        let retries: u64 = attempts.latest(KEPT).map(|slot| u64::from(slot.retries)).sum();
        let is_allowed = retries < self.config.share.of(first) + u64::from(self.config.reserve);
        if is_allowed {
            attempts.current().retries += 1;
        }
        is_allowed
    }
}
