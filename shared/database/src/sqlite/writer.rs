use runtime::{Deadline, Random, Tasks};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::connection::{BUSY_PAUSE, Connection, commit_error};
use crate::group::{Job, Pending, Settled, Writer};
use crate::metrics::DatabaseMetrics;
use crate::row::MOST_ROWS;
use crate::transaction::LIMIT;
use crate::{CommitError, ReadError, Row, Sql, Value};

/// The one connection that writes.
pub(super) struct SqliteWriter {
    connection: Connection,
    random: Random,
    tasks: Tasks,
    metrics: DatabaseMetrics,
}

impl SqliteWriter {
    pub(super) fn new(connection: Connection, env: &runtime::Env, metrics: &DatabaseMetrics) -> Self {
        let (random, tasks) = (env.random.clone(), env.tasks.clone());
        Self { connection, random, tasks, metrics: metrics.clone() }
    }

    /// Begins a transaction, waiting until `deadline` for another process that writes.
    async fn begin(&mut self, deadline: Deadline) -> Result<(), CommitError> {
        begin(&mut self.connection, &self.random, deadline).await
    }

    /// Runs each batch under a savepoint of its own, so that only the one that fails fails.
    ///
    /// # Errors
    /// The place of the batch that ended the transaction for all, and why.
    fn run_all(&self, group: &[Pending]) -> Result<Vec<Result<(), CommitError>>, (usize, CommitError)> {
        let run = |(at, pending)| self.run_one(pending).map_err(|error| (at, error));
        group.iter().enumerate().map(run).collect()
    }

    /// # Errors
    /// The outer error means that the whole transaction is gone.
    fn run_one(&self, pending: &Pending) -> Result<Result<(), CommitError>, CommitError> {
        self.control("SAVEPOINT batch")?;
        let mut statements = pending.batch.statements.iter().enumerate();
        let outcome = statements.try_for_each(|(index, statement)| self.connection.run(index, statement));
        if self.connection.lost_its_transaction() {
            let reason = "the database gave up the transaction".to_owned();
            return Err(Result::err(outcome).unwrap_or(CommitError::Unavailable(reason)));
        }
        if outcome.is_err() {
            self.control("ROLLBACK TO batch")?;
        }
        self.control("RELEASE batch")?;
        Ok(outcome)
    }

    fn control(&self, word: &'static str) -> Result<(), CommitError> {
        self.connection.control(word).map_err(|error| commit_error(0, &error))
    }

    /// Commits. An error here leaves open whether the disk has it: the log may be written and not synced.
    async fn commit(&mut self) -> Result<(), CommitError> {
        self.tasks.before_holding_up().await;
        let committed = self.connection.control("COMMIT");
        committed.map_err(|error| {
            self.roll_back();
            CommitError::unknown(&error)
        })
    }

    fn roll_back(&self) {
        if !self.connection.lost_its_transaction()
            && let Err(error) = self.connection.control("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    /// Commits as much of the group as can be, in one transaction. A batch whose time was up in the middle of
    /// a change has ended that for all, so the others go again without it.
    async fn commit_group(&mut self, mut group: Vec<Pending>) -> Vec<Settled> {
        let mut settled = Vec::with_capacity(group.len());
        // Whoever has less time than the last one leaves by itself meanwhile.
        while let Some(patience) = group.iter().map(|pending| pending.deadline).max() {
            if let Err(error) = self.begin(patience).await {
                settled.extend(group.drain(..).map(|pending| (pending, Err(error.clone()))));
                break;
            }
            group.retain(Pending::begin);
            let outcomes = match self.run_all(&group) {
                Ok(outcomes) => match self.commit().await {
                    Ok(()) => outcomes,
                    Err(unknown) => {
                        outcomes.into_iter().map(|outcome| Err(in_doubt(&outcome, &unknown))).collect()
                    }
                },
                Err((culprit, error)) if self.connection.has_stopped_a_statement() => {
                    self.roll_back();
                    group.iter().for_each(Pending::rest);
                    settled.push((group.remove(culprit), Err(error)));
                    continue;
                }
                Err((_, error)) => {
                    self.roll_back();
                    vec![Err(CommitError::Unavailable(error.to_string())); group.len()]
                }
            };
            settled.extend(group.drain(..).zip(outcomes));
        }
        settled
    }
}

/// What a batch is told whose group may not have been committed. One that failed has done nothing in any case, but what
/// it came too late for may not be there.
fn in_doubt(outcome: &Result<(), CommitError>, unknown: &CommitError) -> CommitError {
    match outcome {
        Ok(()) => unknown.clone(),
        Err(_) => CommitError::Unavailable("what it was refused for may not be kept".to_owned()),
    }
}

/// Begins a transaction, waiting until `deadline` while another process writes.
pub(super) async fn begin(
    connection: &mut Connection,
    random: &Random,
    deadline: Deadline,
) -> Result<(), CommitError> {
    loop {
        match connection.begin() {
            Ok(true) => return Ok(()),
            Ok(false) if deadline.has_passed() => return Err(CommitError::Busy),
            Ok(false) => tokio::time::sleep(random.jitter(BUSY_PAUSE)).await,
            Err(error) => return Err(CommitError::Unavailable(error.to_string())),
        }
    }
}

impl Writer for SqliteWriter {
    type Exclusive = Session;

    async fn write(&mut self, group: Vec<Pending>) {
        let began = Instant::now();
        self.metrics.group(group.len());
        let settled = self.commit_group(group).await;
        self.metrics.group_took(began.elapsed());
        for (pending, outcome) in settled {
            pending.answer(outcome);
        }
    }

    async fn serve(&mut self, session: Session) {
        session.serve(self).await;
    }
}

/// A transaction as its caller sees it: words to the writer, which does nothing else meanwhile.
pub(crate) struct SqliteTransaction {
    commands: mpsc::Sender<Command>,
}

/// A transaction as the writer sees it.
pub(crate) struct Session {
    deadline: Deadline,
    begun: oneshot::Sender<Result<(), CommitError>>,
    commands: mpsc::Receiver<Command>,
}

enum Command {
    Query(Sql, Vec<Value>, oneshot::Sender<Result<Vec<Row>, CommitError>>),
    Run(Sql, Vec<Value>, oneshot::Sender<Result<u64, CommitError>>),
    Commit(oneshot::Sender<Result<(), CommitError>>),
}

impl SqliteTransaction {
    pub(super) async fn begin(
        writer: &mpsc::Sender<Job<Session>>,
        deadline: Deadline,
    ) -> Result<Self, CommitError> {
        // One word at a time: each is answered before the next is said.
        let (commands, received) = mpsc::channel(1);
        let (begun, answered) = oneshot::channel();
        let session = Session { deadline, begun, commands: received };
        writer.try_send(Job::Exclusive(session)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => CommitError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        match deadline.bound(answered).await {
            Ok(Ok(outcome)) => outcome.map(|()| Self { commands }),
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(CommitError::Unavailable("the deadline passed while it waited".to_owned())),
        }
    }

    pub(crate) async fn query(&mut self, sql: Sql, params: Vec<Value>) -> Result<Vec<Row>, CommitError> {
        self.ask(|answer| Command::Query(sql, params, answer)).await
    }

    pub(crate) async fn run(&mut self, sql: Sql, params: Vec<Value>) -> Result<u64, CommitError> {
        self.ask(|answer| Command::Run(sql, params, answer)).await
    }

    pub(crate) async fn commit(mut self, deadline: Deadline) -> Result<(), CommitError> {
        let answer = deadline.bound(self.ask(Command::Commit)).await;
        let silence = || CommitError::Unknown("the deadline passed before the answer came".to_owned());
        answer.unwrap_or_else(|_| Err(silence()))
    }

    async fn ask<T>(
        &mut self,
        command: impl FnOnce(oneshot::Sender<Result<T, CommitError>>) -> Command,
    ) -> Result<T, CommitError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_closed| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

fn gone() -> CommitError {
    CommitError::Unavailable("the transaction has ended".to_owned())
}

impl Session {
    async fn serve(self, writer: &mut SqliteWriter) {
        let Self { deadline, begun, mut commands } = self;
        if begun.is_closed() {
            return;
        }
        let outcome = writer.begin(deadline).await;
        let has_begun = outcome.is_ok();
        // A caller who has gone drops `commands` too, which rolls back below.
        drop(begun.send(outcome));
        if has_begun {
            let end = deadline.at_most(LIMIT);
            writer.connection.bound_statements(Some(end));
            while let Ok(Some(command)) = end.bound(commands.recv()).await {
                if writer.obey(command).await {
                    break;
                }
            }
            writer.connection.bound_statements(None);
            writer.roll_back();
        }
    }
}

impl SqliteWriter {
    /// Does as the caller says; tells whether that ended the transaction. A caller who has gone while it was
    /// done needs no answer.
    async fn obey(&mut self, command: Command) -> bool {
        match command {
            Command::Query(sql, params, answer) => {
                let found = self.connection.find(sql, &params).map_err(|error| commit_error(0, &error));
                let rows = found.and_then(|rows| rows.ok_or(ReadError::TooManyRows(MOST_ROWS).into()));
                drop(answer.send(rows));
                false
            }
            Command::Run(sql, params, answer) => {
                let touched = self.connection.touch(sql, &params).map_err(|error| commit_error(0, &error));
                drop(answer.send(touched));
                false
            }
            Command::Commit(answer) => {
                drop(answer.send(self.commit().await));
                true
            }
        }
    }
}
