use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::sleep;

/// What goes on over one connection. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    begun: AtomicUsize,
    ended: AtomicUsize,
}

/// A request that is being answered, until its answer is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Activity);

impl Activity {
    /// A request has arrived.
    pub(super) fn begin(&self) -> Busy {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Whether a request is being answered.
    pub(super) fn is_busy(&self) -> bool {
        self.seen().is_none()
    }

    /// Comes back when the connection has carried nothing for `patience`, or at most twice that: looked at now and
    /// then, a request need not set a timer.
    pub(super) async fn idle(&self, patience: Duration) {
        let mut before = None;
        loop {
            sleep(patience).await;
            let now = self.seen();
            if now.is_some() && now == before {
                return;
            }
            before = now;
        }
    }

    /// How many requests there have been, where all of them have ended.
    fn seen(&self) -> Option<usize> {
        let (ended, begun) = (self.0.ended.load(Ordering::Acquire), self.0.begun.load(Ordering::Acquire));
        (ended == begun).then_some(begun)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Self(Activity(requests)) = self;
        requests.ended.fetch_add(1, Ordering::Release);
    }
}
