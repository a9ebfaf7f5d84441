use std::sync::Arc;
use std::time::Duration;

use runtime::Deadline;

use super::connection::{Connection, Connector, misfit};
use super::error::{Trouble, commit_error, text};
use super::group::{Ended, run};
use super::receipt::{self, LEAVE};
use crate::group::{Pending, Settled};
use crate::{Batch, CommitError, params};

/// How often a group is begun again after it is certain that it did not happen.
const MOST_ATTEMPTS: usize = 4;

/// How long a group waits for a server that restarts before its callers are told that it is away.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest pause between two attempts to connect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// Commits groups over one connection, which it makes anew when it is lost.
pub(super) struct Committer {
    connector: Arc<Connector>,
    lock_timeout: Duration,
    connection: Option<Connection>,
}

/// A group on its way.
struct Work {
    left: Vec<Pending>,
    settled: Vec<Settled>,
    /// Batches that have failed the transaction for all.
    culprits: usize,
}

impl Committer {
    pub(super) fn new(connector: &Arc<Connector>, lock_timeout: Duration) -> Self {
        Self { connector: Arc::clone(connector), lock_timeout, connection: None }
    }

    /// Commits as much of the group as can be, in one transaction.
    ///
    /// First in one round trip. If a batch fails, it is left out and the others run again at once, which costs
    /// them what it cost before. If one more fails, each runs behind a savepoint of its own: still one fsync
    /// for all of them, however many fail then.
    pub(super) async fn commit(&mut self, group: Vec<Pending>) -> Vec<Settled> {
        let mut work = Work { settled: Vec::with_capacity(group.len()), left: group, culprits: 0 };
        for _ in 0..MOST_ATTEMPTS {
            work.refuse_late();
            let Some(deadline) = work.deadline() else { break };
            self.attempt(&mut work, deadline).await;
        }
        work.refuse(&CommitError::Unavailable("the connection was lost again and again".to_owned()));
        work.settled
    }

    async fn attempt(&mut self, work: &mut Work, deadline: Deadline) {
        let mut connection = match self.connected(deadline).await {
            Ok(connection) => connection,
            Err(reason) => return work.refuse(&CommitError::Unavailable(reason)),
        };
        let prepared = deadline.bound(work.prepare(&mut connection)).await;
        if let Err(reason) = prepared.unwrap_or_else(|_| Err("the server did not answer".to_owned())) {
            // Nothing of it has been sent, so the next attempt may begin at once.
            return tracing::debug!(reason, "the connection was lost before a group began");
        }
        work.left.retain(Pending::begin);
        if work.left.is_empty() {
            self.connection = Some(connection);
            return;
        }
        let receipt = self.connector.env().ids.uuid();
        let leave = params![connection.last_receipt(), receipt];
        let ended = deadline.bound(run(&connection, &work.left, &leave, work.culprits > 1)).await;
        match ended.unwrap_or_else(|_| Ended::lost("the server did not answer", &work.left)) {
            Ended::Committed(outcomes) => {
                connection.left(receipt);
                self.connection = Some(connection);
                work.settle_all(outcomes);
            }
            Ended::FailedBy(culprit, error) => {
                self.connection = Some(connection);
                work.leave_out(culprit, error);
            }
            Ended::RolledBack(reason) => work.refuse(&CommitError::Unavailable(reason)),
            Ended::Lost(reason, outcomes) => {
                drop(connection);
                match receipt::settle(&self.connector, receipt, deadline).await {
                    Ok(true) => work.settle_all(outcomes),
                    Ok(false) => tracing::info!(reason, "a group whose connection was lost runs again"),
                    Err(silence) => work.refuse(&CommitError::Unknown(format!("{reason}; {silence}"))),
                }
            }
        }
        // What is still left has certainly not happened.
        work.left.iter().for_each(Pending::rest);
    }

    async fn connected(&mut self, deadline: Deadline) -> Result<Connection, String> {
        if let Some(connection) = self.connection.take().filter(|connection| !connection.is_closed()) {
            return Ok(connection);
        }
        let patience = deadline.at_most(PATIENCE);
        loop {
            let statement = self.connector.timeouts().statement;
            let connecting = self.connector.connect(self.lock_timeout, statement);
            let reason = match deadline.bound(connecting).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(reason)) => reason,
                Err(_) => "the server did not answer".to_owned(),
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
            self.settled.push((late, Err(too_late())));
        }
    }

    fn settle_all(&mut self, outcomes: Vec<Result<(), CommitError>>) {
        for (pending, outcome) in std::mem::take(&mut self.left).into_iter().zip(outcomes) {
            self.settle(pending, outcome);
        }
    }

    fn refuse(&mut self, error: &CommitError) {
        self.settle_all(vec![Err(error.clone()); self.left.len()]);
    }

    fn leave_out(&mut self, culprit: usize, error: CommitError) {
        let pending = self.left.remove(culprit);
        self.settle(pending, Err(error));
        self.culprits += 1;
    }

    /// The group may go on without it for a while, so its caller may leave if it did not happen.
    fn settle(&mut self, pending: Pending, outcome: Result<(), CommitError>) {
        if !matches!(outcome, Ok(()) | Err(CommitError::Unknown(_))) {
            pending.rest();
        }
        self.settled.push((pending, outcome));
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
                if let Some(reason) = misfit(prepared, &statement.params) {
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
