use std::sync::Arc;
use std::time::Duration;

use runtime::Random;

use super::committer::Committer;
use super::connection::Connector;
use crate::CommitError;
use crate::group::Pending;

/// Connections for batches that contend with others. Few, since they mostly wait; more would only wait for
/// each other.
pub(super) const WORKERS: usize = 2;

/// The longest pause before the first new try; it doubles with each, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(320);

/// A try may take this many times the wait for its row: it may have to connect first, and has to commit.
const TRY_TAKES: u32 = 2;

/// Runs batches one by one, again and again until their deadline, with jitter in between so that those who
/// collided do not meet again.
pub(super) struct Alone {
    committer: Committer,
    random: Random,
    lock_timeout: Duration,
}

impl Alone {
    pub(super) fn new(connector: &Arc<Connector>) -> Self {
        let lock_timeout = connector.timeouts().lock;
        let random = connector.env().random.clone();
        Self { committer: Committer::new(connector, lock_timeout), random, lock_timeout }
    }

    pub(super) async fn run(mut self, contending: async_channel::Receiver<Pending>) {
        while let Ok(pending) = contending.recv().await {
            let (pending, outcome) = self.settle(pending).await;
            pending.answer(outcome);
        }
    }

    async fn settle(&mut self, mut pending: Pending) -> (Pending, Result<(), CommitError>) {
        let mut most = FIRST_PAUSE;
        loop {
            tokio::time::sleep(self.random.jitter(most)).await;
            // A try that the deadline cuts off would leave its outcome unknown.
            if pending.deadline.remaining() < self.lock_timeout * TRY_TAKES {
                return (pending, Err(CommitError::Busy));
            }
            let mut settled = self.committer.commit(vec![pending]).await;
            let Some((tried, outcome)) = settled.pop() else {
                unreachable!("a committer settles every batch that it is given")
            };
            if outcome != Err(CommitError::Busy) {
                return (tried, outcome);
            }
            pending = tried;
            most = (most * 2).min(LONGEST_PAUSE);
        }
    }
}
