#[cfg(test)]
mod tests;

use std::sync::Arc;

use runtime::Deadline;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use types::{Classify, ErrorClass};

/// How much of one thing there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkheadConfig {
    /// So many calls at once.
    pub at_once: u32,
    /// So many more wait for a place.
    pub waiting: u32,
}

/// Keeps one callee that has become slow from taking up all of its caller: so many calls at once, so many that wait for
/// a place, first come first served, and no more (the bulkhead of Nygard, "Release It!").
///
/// Its like with keys, [`KeyedBulkhead`](crate::KeyedBulkhead), guards what many share from each of them, and lets nobody
/// wait: whoever is refused there has enough under way already. Clones are the same.
#[derive(Clone, Debug)]
pub struct Bulkhead {
    places: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// A place among the calls that are under way, until it is dropped.
#[derive(Debug)]
#[must_use = "the place is free again when it is dropped"]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BulkheadError {
    /// As many wait as may.
    #[error("too many calls wait for a place already")]
    Full,
    /// No place came free in time.
    #[error("the deadline passed before a place came free")]
    Late,
}

impl Classify for BulkheadError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Unavailable
    }
}

impl Bulkhead {
    /// With all places free.
    pub fn new(config: BulkheadConfig) -> Self {
        let semaphore = |permits: u32| Arc::new(Semaphore::new(permits as usize));
        Self { places: semaphore(config.at_once), waiting: semaphore(config.waiting) }
    }

    /// A place, at once or as soon as one comes free before the `deadline`.
    ///
    /// # Errors
    /// [`BulkheadError`]; no place was taken.
    pub async fn enter(&self, deadline: Deadline) -> Result<Place, BulkheadError> {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(Place { _permit: permit });
        }
        let _waiting = self.waiting.try_acquire().map_err(|_none_left| BulkheadError::Full)?;
        match deadline.bound(Arc::clone(&self.places).acquire_owned()).await {
            Ok(permit) => Ok(Place { _permit: permit.expect("nobody closes the semaphore") }),
            Err(_elapsed) => Err(BulkheadError::Late),
        }
    }

    /// How many calls are waiting for a place.
    #[cfg(test)]
    fn waiting(&self, most: usize) -> usize {
        most - self.waiting.available_permits()
    }
}
