use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use runtime::Random;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::committer::Committer;
use super::connection::Connector;
use super::group::Opening;
use crate::CommitError;
use crate::group::{MOST_WAITING, Pending};

/// Connections for batches that contend with others. Few, since they mostly wait; more would only wait for
/// each other.
const CONNECTIONS: usize = 2;

/// The longest pause before the first try; it doubles with each, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(320);

/// A try may take this many times the wait for its row: it may have to connect first, and has to commit.
const TRY_TAKES: u32 = 2;

/// Runs batches one by one until their deadline, with jitter in between so that those who collided do not
/// meet again. A batch that finds its row still held lets the others have their turn.
pub(super) struct Alone {
    idle: Vec<Committer>,
    /// In the order of their turns.
    waiting: VecDeque<Contending>,
    random: Random,
    lock_timeout: Duration,
}

/// A batch and its next try.
struct Contending {
    pending: Pending,
    due: Instant,
    longest_pause: Duration,
}

/// A try that has ended, with the batch if its rows are still held.
struct Tried {
    committer: Committer,
    busy: Option<Pending>,
    longest_pause: Duration,
}

impl Alone {
    pub(super) fn new(connector: &Arc<Connector>) -> Self {
        let lock_timeout = connector.timeouts().lock;
        let idle =
            (0..CONNECTIONS).map(|_| Committer::new(connector, lock_timeout, Opening::AtOnce)).collect();
        Self { idle, waiting: VecDeque::new(), random: connector.env().random.clone(), lock_timeout }
    }

    pub(super) async fn run(mut self, mut contending: mpsc::Receiver<Pending>) {
        let mut tries = FuturesUnordered::new();
        let mut is_open = true;
        while is_open || !self.waiting.is_empty() || !tries.is_empty() {
            let due = self.waiting.front().map_or_else(Instant::now, |next| next.due);
            tokio::select! {
                biased;
                Some(tried) = tries.next() => self.take_back(tried),
                () = sleep_until(due), if !self.waiting.is_empty() && !self.idle.is_empty() => {
                    tries.extend(self.try_next());
                }
                arrived = contending.recv(), if is_open && self.waiting.len() < MOST_WAITING => match arrived {
                    Some(pending) => self.wait(pending, FIRST_PAUSE),
                    None => is_open = false,
                },
            }
        }
    }

    /// Gives the batch its turn after those that are due earlier, or tells it now that none of its turns will do.
    fn wait(&mut self, pending: Pending, longest_pause: Duration) {
        let pause = self.random.jitter(longest_pause);
        let Some(pending) = self.with_time(pending, pause) else { return };
        let due = Instant::now() + pause;
        let at = self.waiting.partition_point(|other| other.due <= due);
        self.waiting.insert(at, Contending { pending, due, longest_pause });
    }

    /// The batch, if it can be tried in time `after` that: a try that the deadline cuts off would leave its outcome
    /// unknown.
    fn with_time(&self, pending: Pending, after: Duration) -> Option<Pending> {
        if pending.deadline.remaining() < after + self.lock_timeout * TRY_TAKES {
            pending.answer(Err(CommitError::Busy));
            return None;
        }
        Some(pending)
    }

    fn try_next(&mut self) -> Option<impl Future<Output = Tried> + use<>> {
        let Contending { pending, longest_pause, .. } = self.waiting.pop_front()?;
        let pending = self.with_time(pending, Duration::ZERO)?;
        let mut committer = self.idle.pop()?;
        Some(async move {
            let busy = committer.commit(vec![pending]).await.pop();
            Tried { committer, busy, longest_pause }
        })
    }

    fn take_back(&mut self, tried: Tried) {
        self.idle.push(tried.committer);
        if let Some(pending) = tried.busy {
            self.wait(pending, (tried.longest_pause * 2).min(LONGEST_PAUSE));
        }
    }
}

#[cfg(test)]
mod tests {
    use runtime::Deadline;

    use super::*;
    use crate::Batch;

    #[tokio::test(start_paused = true)]
    async fn a_batch_whose_next_turn_comes_too_late_is_told_now_that_it_is_busy() {
        let lock_timeout = Duration::from_millis(250);
        let random = Random::seeded(1);
        let mut alone = Alone { idle: Vec::new(), waiting: VecDeque::new(), random, lock_timeout };
        let mut wait = |budget| {
            let (pending, waiting) = Pending::new(Batch::new(), Deadline::within(budget));
            alone.wait(pending, LONGEST_PAUSE);
            (alone.waiting.len(), waiting)
        };
        let just_enough_for_a_try = lock_timeout * TRY_TAKES;
        let (waits, refused) = wait(just_enough_for_a_try);
        assert_eq!((waits, refused.outcome().await), (0, Err(CommitError::Busy)));
        let (waits, _waiting) = wait(just_enough_for_a_try + LONGEST_PAUSE);
        assert_eq!(waits, 1);
    }
}
