use std::sync::Arc;
use std::time::Duration;

use runtime::Deadline;

use super::connection::{Connection, Connector, misfit};
use super::error::{Trouble, commit_error, text};
use super::group::{Opening, Share, Verdict, run};
use super::receipt::{self, LEAVE};
use crate::group::{Pending, Settled};
use crate::{Batch, CommitError};

/// How often a group is begun again after it is certain that it did not happen.
const MOST_ATTEMPTS: usize = 4;

/// Batches of one share: so many go again when one of them fails. With fewer, more time is spent on receipts.
const SHARE: usize = 16;

/// How long a group waits for a server that restarts before its callers are told that it is away.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest pause between two attempts to connect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

const NO_ANSWER: &str = "the server did not answer";

/// Commits groups over one connection, which it makes anew when it is lost.
pub(super) struct Committer {
    connector: Arc<Connector>,
    lock_timeout: Duration,
    opening: Opening,
    connection: Option<Connection>,
}

/// A group on its way.
struct Work {
    left: Vec<Pending>,
    /// Those whose rows others hold.
    busy: Vec<Pending>,
    /// Those that failed, perhaps because of one that has yet to commit.
    failed: Vec<Settled>,
    /// Attempts in which batches have failed.
    failures: usize,
}

impl Committer {
    pub(super) fn new(connector: &Arc<Connector>, lock_timeout: Duration, opening: Opening) -> Self {
        Self { connector: Arc::clone(connector), lock_timeout, opening, connection: None }
    }

    /// Commits as much of the group as can be in one transaction, in one round trip.
    ///
    /// If a batch fails, only its share does, and the others of that share go again at once. If one of those
    /// fails too, each is a share of its own: still one fsync for all of them, however many fail then.
    ///
    /// Each batch is answered as soon as its outcome is known. One that failed is told so when those have committed
    /// that it may have failed because of; those whose rows others hold are given back.
    pub(super) async fn commit(&mut self, group: Vec<Pending>) -> Vec<Pending> {
        let mut work = Work { left: group, busy: Vec::new(), failed: Vec::new(), failures: 0 };
        for _ in 0..MOST_ATTEMPTS {
            work.refuse_late();
            let Some(deadline) = work.deadline() else { break };
            self.attempt(&mut work, deadline).await;
        }
        work.refuse(&CommitError::Unavailable("the connection was lost again and again".to_owned()));
        for (pending, error) in work.failed {
            pending.answer(error);
        }
        work.busy
    }

    async fn attempt(&mut self, work: &mut Work, deadline: Deadline) {
        let mut connection = match self.connected(deadline).await {
            Ok(connection) => connection,
            Err(reason) => return work.refuse(&CommitError::Unavailable(reason)),
        };
        let prepared = deadline.bound(work.prepare(&mut connection)).await;
        if let Err(reason) = prepared.unwrap_or_else(|_| Err(NO_ANSWER.to_owned())) {
            // Nothing of it has been sent, so the next attempt may begin at once.
            return tracing::debug!(reason, "the connection was lost before a group began");
        }
        work.left.retain(Pending::begin);
        if work.left.is_empty() {
            self.connection = Some(connection);
            return;
        }
        let ids = &self.connector.env().ids;
        let shares = Share::divide(work.left.len(), work.share_size(), &connection, || ids.uuid());
        let ran = deadline.bound(run(&connection, &work.left, &shares, &self.opening)).await;
        match ran.unwrap_or_else(|_| Err(NO_ANSWER.to_owned())) {
            Ok(verdicts) => {
                for (at, share) in shares.iter().enumerate() {
                    if matches!(verdicts[at], Verdict::Committed) {
                        connection.left(at, share.receipt);
                    }
                }
                self.connection = Some(connection);
                work.take_in(&shares, verdicts);
            }
            Err(reason) => {
                drop(connection);
                self.find_out(work, &shares, &reason, deadline).await;
            }
        }
    }

    /// Settles a group whose answer was lost for `reason`.
    async fn find_out(&self, work: &mut Work, shares: &[Share], reason: &str, deadline: Deadline) {
        let receipts: Vec<_> = shares.iter().map(|share| share.receipt).collect();
        match receipt::look_up(&self.connector, &receipts, deadline).await {
            Ok(committed) => {
                tracing::info!(reason, "a group whose connection was lost was looked up");
                let verdict =
                    |is_committed| if is_committed { Verdict::Committed } else { Verdict::NotCommitted };
                work.take_in(shares, committed.into_iter().map(verdict).collect());
            }
            Err(silence) => work.refuse(&CommitError::Unknown(format!("{reason}; {silence}"))),
        }
    }

    async fn connected(&mut self, deadline: Deadline) -> Result<Connection, String> {
        if let Some(connection) = self.connection.take().filter(|connection| !connection.has_had_its_time()) {
            return Ok(connection);
        }
        let patience = deadline.at_most(PATIENCE);
        loop {
            let statement = self.connector.timeouts().statement;
            let connecting = async {
                let connection = self.connector.connect(self.lock_timeout, statement).await?;
                receipt::purge(&connection, self.connector.env().clock.now()).await;
                Ok(connection)
            };
            let reason = match deadline.bound(connecting).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(reason)) => reason,
                Err(_) => NO_ANSWER.to_owned(),
            };
            if patience.has_passed() {
                return Err(reason);
            }
            tokio::time::sleep(self.connector.env().random.jitter(RECONNECT_PAUSE)).await;
        }
    }
}

impl Work {
    /// The last of the deadlines: until then somebody wants to know. Nothing where nobody is left.
    fn deadline(&self) -> Option<Deadline> {
        self.left.iter().map(|pending| pending.deadline).max()
    }

    fn refuse_late(&mut self) {
        let too_late = || CommitError::Unavailable("the deadline passed before it could begin".to_owned());
        for late in self.left.extract_if(.., |pending| pending.deadline.has_passed()) {
            late.answer(Err(too_late()));
        }
    }

    /// Refuses what is left, and with it those that failed: what they came too late for may not be there.
    fn refuse(&mut self, error: &CommitError) {
        if self.left.is_empty() {
            return;
        }
        let failed = self.failed.drain(..).map(|(pending, _)| pending);
        let nothing_happened = CommitError::Unavailable("what it was refused for was not kept".to_owned());
        failed.for_each(|pending| pending.answer(Err(nothing_happened.clone())));
        self.left.drain(..).for_each(|pending| pending.answer(Err(error.clone())));
    }

    fn share_size(&self) -> usize {
        if self.failures < 2 { SHARE } else { 1 }
    }

    /// Settles what the shares of the group came to. What is left has certainly not happened.
    fn take_in(&mut self, shares: &[Share], verdicts: Vec<Verdict>) {
        self.failures += usize::from(verdicts.iter().any(|verdict| matches!(verdict, Verdict::FailedBy(..))));
        let mut group = std::mem::take(&mut self.left).into_iter().enumerate();
        for (share, verdict) in shares.iter().zip(verdicts) {
            for (at, pending) in group.by_ref().take(share.batches.len()) {
                match &verdict {
                    Verdict::Committed => self.settle(pending, Ok(())),
                    Verdict::FailedBy(culprit, error) if at == *culprit => {
                        self.settle(pending, Err(error.clone()));
                    }
                    Verdict::NoTurn => self.step_aside(pending),
                    Verdict::FailedBy(..) | Verdict::NotCommitted => {
                        pending.rest();
                        self.left.push(pending);
                    }
                }
            }
        }
        self.spare_the_busy();
    }

    fn settle(&mut self, pending: Pending, outcome: Result<(), CommitError>) {
        match outcome {
            Err(CommitError::Busy) => self.step_aside(pending),
            // Another batch of the same share may have been in its way, and that one has yet to commit.
            Err(CommitError::Constraint(_) | CommitError::Count { .. }) => {
                self.failed.push((pending, outcome));
            }
            outcome => pending.answer(outcome),
        }
    }

    fn step_aside(&mut self, pending: Pending) {
        pending.rest();
        self.busy.push(pending);
    }

    /// Takes out those that want the same as one that is busy, before each has waited for it.
    fn spare_the_busy(&mut self) {
        let busy = &self.busy;
        let same = |batch: &Batch| busy.iter().any(|other| batch.shares_a_key_with(&other.batch));
        let crowded: Vec<_> = self.left.extract_if(.., |pending| same(&pending.batch)).collect();
        crowded.into_iter().for_each(|pending| self.step_aside(pending));
    }

    /// Prepares what the batches need, and settles those that the server or their types refuse already.
    ///
    /// # Errors
    /// The reason why the connection was lost.
    async fn prepare(&mut self, connection: &mut Connection) -> Result<(), String> {
        connection.prepare(LEAVE, None).await.map_err(|error| text(&error))?;
        let mut refused = Vec::new();
        for (at, pending) in self.left.iter().enumerate() {
            if let Some(error) = prepare(connection, &pending.batch).await? {
                refused.push((at, error));
            }
        }
        // From the back, so that the places of the others stay what they were.
        for (at, error) in refused.into_iter().rev() {
            let pending = self.left.remove(at);
            self.settle(pending, Err(error));
        }
        Ok(())
    }
}

/// Prepares the batch's statements; tells why it cannot run, if so.
async fn prepare(connection: &mut Connection, batch: &Batch) -> Result<Option<CommitError>, String> {
    for (index, statement) in batch.statements.iter().enumerate() {
        match connection.prepare(statement.sql, statement.expected).await {
            Ok(prepared) => {
                if let Some(reason) = misfit(&prepared, &statement.params) {
                    return Ok(Some(CommitError::Rejected { statement: index, reason }));
                }
            }
            Err(error) => match Trouble::of(&error) {
                Trouble::Refused(refused) => return Ok(Some(commit_error(index, None, &refused))),
                Trouble::Lost(reason) => return Err(reason),
            },
        }
    }
    Ok(None)
}
