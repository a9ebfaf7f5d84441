//! The group commit: what waits at the same moment shares one transaction.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use runtime::Deadline;
use tokio::sync::{mpsc, oneshot};

use crate::{Batch, CommitError};

/// Batches that may wait for a lane: sixteen groups, a fraction of a second of work. More than that would
/// only be answered after their callers have given up.
pub(crate) const MOST_WAITING: usize = 1_024;

/// Batches of one group. More of them save little of the one fsync they share, and each waits for all.
const MOST_BATCHES: usize = 64;

/// How often a lane lets others run before it closes a group that is smaller than the one before: the
/// callers it has just answered are about to come back, and one fsync for all beats one for the first.
const GATHER_TURNS: usize = 8;

/// What goes through a lane: batches, and for a database with one writer also what needs it alone.
pub(crate) enum Job<E> {
    Batch(Pending),
    Exclusive(E),
    /// Nothing more is taken; what waits is still done.
    Close,
}

/// A batch and the caller who waits for it.
pub(crate) struct Pending {
    pub(crate) batch: Batch,
    pub(crate) deadline: Deadline,
    claim: Claim,
    answer: oneshot::Sender<Result<(), CommitError>>,
}

/// A batch and what came of it.
pub(crate) type Settled = (Pending, Result<(), CommitError>);

/// The caller's end of a [`Pending`].
pub(crate) struct Waiting {
    deadline: Deadline,
    claim: Claim,
    answer: oneshot::Receiver<Result<(), CommitError>>,
}

/// Who decides about a batch at its deadline: the caller, who may leave while nothing of it is on its way to
/// the database, or the writer.
#[derive(Clone)]
struct Claim(Arc<AtomicU8>);

impl Claim {
    const WAITS: u8 = 0;
    const ON_ITS_WAY: u8 = 1;
    const LEFT: u8 = 2;

    fn turn(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Pending {
    pub(crate) fn new(batch: Batch, deadline: Deadline) -> (Self, Waiting) {
        let (answer, answered) = oneshot::channel();
        let claim = Claim(Arc::default());
        let waiting = Waiting { deadline, claim: claim.clone(), answer: answered };
        (Self { batch, deadline, claim, answer }, waiting)
    }

    /// Tells the caller, unless the caller has left.
    pub(crate) fn answer(self, outcome: Result<(), CommitError>) {
        drop(self.answer.send(outcome));
    }

    /// To be asked before anything of the batch is sent: whether its caller still waits. From then on one
    /// who leaves does not know the outcome.
    pub(crate) fn begin(&self) -> bool {
        self.claim.turn(Claim::WAITS, Claim::ON_ITS_WAY)
    }

    /// To be told when nothing of the batch happened nor can happen any more: one who leaves knows it again.
    pub(crate) fn rest(&self) {
        self.claim.turn(Claim::ON_ITS_WAY, Claim::WAITS);
    }

    /// The batch for a group, unless its time is up.
    fn in_time(self) -> Option<Self> {
        if self.deadline.has_passed() {
            self.answer(Err(CommitError::Unavailable("the deadline passed while it waited".to_owned())));
            return None;
        }
        Some(self)
    }
}

impl Waiting {
    pub(crate) async fn outcome(self) -> Result<(), CommitError> {
        match self.deadline.bound(self.answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) if self.claim.turn(Claim::WAITS, Claim::LEFT) => {
                Err(CommitError::Unavailable("the database is closed".to_owned()))
            }
            Ok(Err(_)) => Err(CommitError::Unknown("the database was closed meanwhile".to_owned())),
            Err(_) if self.claim.turn(Claim::WAITS, Claim::LEFT) => {
                Err(CommitError::Unavailable("the deadline passed while it waited".to_owned()))
            }
            Err(_) => Err(CommitError::Unknown("the deadline passed before the answer came".to_owned())),
        }
    }
}

/// What writes groups: one connection to one database.
pub(crate) trait Writer: Send {
    /// What needs the connection alone.
    type Exclusive: Send;

    /// Commits the group and answers every batch of it, now or later.
    fn write(&mut self, group: Vec<Pending>) -> impl Future<Output = ()> + Send;

    /// Does what needs the connection alone.
    fn serve(&mut self, exclusive: Self::Exclusive) -> impl Future<Output = ()> + Send;
}

/// Runs a lane until it is closed, or everyone who could send has gone, and all that waited is done.
pub(crate) async fn run_lane<W: Writer>(mut queue: mpsc::Receiver<Job<W::Exclusive>>, mut writer: W) {
    let mut next = None;
    let mut last_size = 0;
    loop {
        let job = match next.take() {
            Some(job) => job,
            None => match queue.recv().await {
                Some(job) => job,
                None => return,
            },
        };
        match job {
            Job::Close => queue.close(),
            Job::Exclusive(exclusive) => writer.serve(exclusive).await,
            Job::Batch(first) => {
                gather(&queue, last_size).await;
                let mut group = Group::default();
                next = group.fill(first, &mut queue);
                last_size = group.batches.len();
                if last_size > 0 {
                    writer.write(group.in_key_order()).await;
                }
            }
        }
    }
}

async fn gather<E>(queue: &mpsc::Receiver<Job<E>>, last_size: usize) {
    for _ in 0..GATHER_TURNS {
        if queue.len() + 1 >= last_size {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[derive(Default)]
struct Group {
    batches: Vec<Pending>,
    statements: usize,
    bytes: usize,
}

impl Group {
    /// Takes `first` and what else waits and fits; gives back the job that did not.
    fn fill<E>(&mut self, first: Pending, queue: &mut mpsc::Receiver<Job<E>>) -> Option<Job<E>> {
        let mut job = Job::Batch(first);
        loop {
            match job {
                Job::Batch(pending) if self.has_room_for(&pending.batch) => self.push(pending),
                full => return Some(full),
            }
            if self.batches.len() == MOST_BATCHES {
                return None;
            }
            job = queue.try_recv().ok()?;
        }
    }

    fn has_room_for(&self, batch: &Batch) -> bool {
        self.statements + batch.statements.len() <= Batch::MOST_STATEMENTS
            && self.bytes + batch.bytes() <= Batch::MOST_BYTES
    }

    fn push(&mut self, pending: Pending) {
        let Some(pending) = pending.in_time() else { return };
        self.statements += pending.batch.statements.len();
        self.bytes += pending.batch.bytes();
        self.batches.push(pending);
    }

    fn in_key_order(mut self) -> Vec<Pending> {
        self.batches.sort_by(|one, other| one.batch.order().cmp(&other.batch.order()));
        self.batches
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Sql, params};

    const NOTE: Sql = Sql::new("INSERT INTO notes (text) VALUES ($1)");
    const SOON: Duration = Duration::from_secs(1);

    /// Tells the keys of each group it was given.
    struct Witness(mpsc::Sender<Vec<Vec<String>>>);

    impl Writer for Witness {
        type Exclusive = ();

        async fn write(&mut self, group: Vec<Pending>) {
            let keys = group.iter().map(|pending| pending.batch.keys.clone()).collect();
            self.0.send(keys).await.expect("the test listens");
            group.into_iter().for_each(|pending| pending.answer(Ok(())));
        }

        async fn serve(&mut self, (): ()) {
            self.0.send(Vec::new()).await.expect("the test listens");
        }
    }

    async fn groups_of(jobs: Vec<Job<()>>) -> Vec<Vec<Vec<String>>> {
        let (send, queue) = mpsc::channel(MOST_WAITING);
        let (tell, mut told) = mpsc::channel(MOST_WAITING);
        for job in jobs {
            assert!(send.try_send(job).is_ok());
        }
        drop(send);
        run_lane(queue, Witness(tell)).await;
        let mut groups = Vec::new();
        while let Some(group) = told.recv().await {
            groups.push(group);
        }
        groups
    }

    fn job(key: &str, bytes: usize) -> Job<()> {
        let mut batch = Batch::new();
        batch.key(key).run(NOTE, params![vec![0_u8; bytes]]);
        Job::Batch(Pending::new(batch, Deadline::within(SOON)).0)
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_shares_a_group_in_key_order() {
        let groups = groups_of(vec![job("c", 1), job("a", 1), job("b", 1)]).await;
        assert_eq!(groups, [[["a"], ["b"], ["c"]]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_is_bounded_in_batches_and_bytes() {
        let many = groups_of((0..=MOST_BATCHES).map(|_| job("a", 1)).collect()).await;
        assert_eq!(many.iter().map(Vec::len).collect::<Vec<_>>(), [MOST_BATCHES, 1]);
        let heavy = Batch::MOST_BYTES / 2 + 1;
        let heavy = groups_of(vec![job("a", heavy), job("b", heavy), job("c", 1)]).await;
        assert_eq!(heavy, [vec![vec!["a"]], vec![vec!["b"], vec!["c"]]]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_needs_the_connection_alone_ends_the_group_before_it() {
        let groups = groups_of(vec![job("a", 1), Job::Exclusive(()), job("b", 1)]).await;
        assert_eq!(groups, [vec![vec!["a".to_owned()]], vec![], vec![vec!["b".to_owned()]]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_lane_still_does_what_waited() {
        let groups = groups_of(vec![job("a", 1), Job::Close, job("b", 1)]).await;
        assert_eq!(groups, [[["a"]], [["b"]]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_leaves_before_the_group_knows_that_nothing_happened() {
        let (pending, waiting) = Pending::new(Batch::new(), Deadline::within(SOON));
        let outcome = waiting.outcome().await;
        assert!(matches!(outcome, Err(CommitError::Unavailable(_))), "{outcome:?}");
        assert!(!pending.begin(), "nobody waits for it any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_leaves_after_the_group_began_does_not_know() {
        let (pending, waiting) = Pending::new(Batch::new(), Deadline::within(SOON));
        assert!(pending.begin(), "it is in time");
        let outcome = waiting.outcome().await;
        assert!(matches!(outcome, Err(CommitError::Unknown(_))), "{outcome:?}");
        pending.answer(Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_leaves_between_two_tries_knows_that_nothing_happened() {
        let (pending, waiting) = Pending::new(Batch::new(), Deadline::within(SOON));
        assert!(pending.begin(), "it is in time");
        pending.rest();
        let outcome = waiting.outcome().await;
        assert!(matches!(outcome, Err(CommitError::Unavailable(_))), "{outcome:?}");
        assert!(!pending.begin(), "nobody waits for it any more");
    }
}
