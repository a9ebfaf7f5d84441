use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// Where computation goes that takes milliseconds of a processor, such as hashing a password: off the async
/// threads, so many at once and no more, so many waiting and no more.
#[derive(Clone)]
pub struct Compute(Option<Arc<Pool>>);

struct Pool {
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Why a computation gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComputeError {
    /// As many are waiting as may; it did not run.
    #[error("too many computations are waiting")]
    Overloaded,
    /// It panicked.
    #[error("the computation panicked")]
    Panicked,
}

impl Compute {
    /// At 27 ms for a password this is under two seconds of work for each of two threads; whoever comes
    /// after that is better told at once.
    const MOST_WAITING: usize = 128;

    pub(crate) fn pool(threads: usize) -> Self {
        let slots = Arc::new(Semaphore::new(threads.max(1)));
        Self(Some(Arc::new(Pool { slots, waiting: AtomicUsize::new(0) })))
    }

    pub(crate) fn inline() -> Self {
        Self(None)
    }

    /// Runs `work`, waiting for a free slot.
    ///
    /// # Errors
    /// [`ComputeError`]: too many are waiting, or `work` panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ComputeError> {
        let Some(pool) = &self.0 else { return Ok(work()) };
        let slot = {
            let _place = Place::take(pool)?;
            Arc::clone(&pool.slots).acquire_owned().await.expect("the semaphore is never closed")
        };
        #[expect(clippy::disallowed_methods, reason = "this is the seam that everyone else must use")]
        let result = tokio::task::spawn_blocking(move || {
            // Held here and not by the caller, who may give up waiting while the work goes on.
            let _slot = slot;
            work()
        })
        .await;
        result.or(Err(ComputeError::Panicked))
    }

    /// How many computations wait for a slot.
    pub fn waiting(&self) -> usize {
        self.0.as_ref().map_or(0, |pool| pool.waiting.load(Ordering::Relaxed))
    }
}

/// A place in the queue, given back when the wait ends in whatever way.
struct Place<'a>(&'a Pool);

impl<'a> Place<'a> {
    fn take(pool: &'a Pool) -> Result<Self, ComputeError> {
        let taken = pool.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
            (waiting < Compute::MOST_WAITING).then_some(waiting + 1)
        });
        taken.map(|_| Self(pool)).or(Err(ComputeError::Overloaded))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compute").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn only_so_many_run_at_once_and_only_so_many_wait() {
        let compute = Compute::pool(1);
        let (release, held) = mpsc::channel::<()>();
        let (started, running) = tokio::sync::oneshot::channel();
        let first = compute.run(move || {
            started.send(()).expect("the test waits for it");
            held.recv().expect("the test releases it");
        });
        let crowd = async {
            running.await.unwrap();
            let waiting = join_all((0..Compute::MOST_WAITING).map(|_| compute.run(|| ())));
            let late = async {
                assert_eq!(compute.waiting(), Compute::MOST_WAITING);
                let refused = compute.run(|| ()).now_or_never();
                release.send(()).unwrap();
                refused
            };
            tokio::join!(biased; waiting, late)
        };
        let (first, (waited, late)) = tokio::join!(first, crowd);
        assert_eq!(first, Ok(()));
        assert_eq!(waited, vec![Ok(()); Compute::MOST_WAITING]);
        assert_eq!(late, Some(Err(ComputeError::Overloaded)), "it is told at once");
        assert_eq!(compute.waiting(), 0);
    }

    #[tokio::test]
    async fn a_panic_is_told_to_the_one_who_asked() {
        let compute = Compute::pool(1);
        assert_eq!(compute.run(|| panic!("no")).await, Err::<(), _>(ComputeError::Panicked));
        assert_eq!(compute.run(|| 1).await, Ok(1));
    }
}
