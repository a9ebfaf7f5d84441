//! One group as one transaction.

use tokio_postgres::Error;

use super::connection::Connection;
use super::error::{Trouble, commit_error};
use super::pipeline::Pipeline;
use super::receipt::LEAVE;
use crate::batch::Statement;
use crate::group::Pending;
use crate::{CommitError, Value};

/// How a group's transaction ended.
pub(super) enum Ended {
    /// It committed, with what each batch came to.
    Committed(Vec<Result<(), CommitError>>),
    /// One batch failed, and the transaction with it.
    FailedBy(usize, CommitError),
    /// Nothing was kept, for no batch's fault.
    RolledBack(String),
    /// The answer was lost; this is what each batch comes to if the transaction has committed.
    Lost(String, Vec<Result<(), CommitError>>),
}

impl Ended {
    pub(super) fn lost(reason: impl Into<String>, group: &[Pending]) -> Self {
        Self::Lost(reason.into(), vec![Ok(()); group.len()])
    }
}

/// Runs the group, whose statements have been prepared, and leaves a receipt with `leave`.
pub(super) async fn run(connection: &Connection, group: &[Pending], leave: &[Value], apart: bool) -> Ended {
    if !apart {
        return run_together(connection, group, leave).await;
    }
    match run_apart(connection, group).await {
        Ok(outcomes) => commit_apart(connection, leave, outcomes).await,
        // Nobody has said COMMIT, and leaving the connection rolls back.
        Err(reason) => Ended::lost(reason, group),
    }
}

/// Everything in one round trip: an error anywhere turns the COMMIT into a rollback.
async fn run_together(connection: &Connection, group: &[Pending], leave: &[Value]) -> Ended {
    let client = connection.client();
    let mut pipeline = Pipeline::default();
    pipeline.control(client, "BEGIN");
    for (_, _, statement) in statements(group) {
        add(&mut pipeline, connection, statement);
    }
    pipeline.statement(client, connection.prepared(LEAVE, None), leave);
    pipeline.control(client, "COMMIT");
    let answers = pipeline.run().await;
    // The first answer is to BEGIN, and those after the statements' belong to the receipt and the COMMIT.
    let failed = answers.iter().enumerate().find_map(|(at, answer)| Some((at, answer.as_ref().err()?)));
    let Some((at, error)) = failed else { return Ended::Committed(vec![Ok(()); group.len()]) };
    match (Trouble::of(error), at.checked_sub(1).and_then(|at| statements(group).nth(at))) {
        (Trouble::Refused(refused), Some((batch, index, statement))) => {
            Ended::FailedBy(batch, commit_error(index, statement.expected, &refused))
        }
        (Trouble::Refused(refused), None) => Ended::RolledBack(refused.to_string()),
        (Trouble::Lost(reason), _) => Ended::lost(reason, group),
    }
}

/// Every statement with its batch's place in the group and its own in the batch.
fn statements(group: &[Pending]) -> impl Iterator<Item = (usize, usize, &Statement)> {
    group.iter().enumerate().flat_map(|(at, pending)| {
        pending.batch.statements.iter().enumerate().map(move |(index, statement)| (at, index, statement))
    })
}

fn add<'a>(pipeline: &mut Pipeline<'a>, connection: &'a Connection, statement: &'a Statement) {
    let prepared = connection.prepared(statement.sql, statement.expected);
    pipeline.statement(connection.client(), prepared, &statement.params);
}

/// Runs each batch behind a savepoint, all in one round trip, and tells what each came to.
///
/// After a batch come `SAVEPOINT s` and `ROLLBACK TO s`. If all went well, the savepoint is taken after the
/// batch, so that rolling back to it changes nothing. If not, taking it fails like everything in a failed
/// transaction, and rolling back goes to the savepoint of the same name that was taken before the batch.
///
/// # Errors
/// The reason why the transaction cannot go on.
async fn run_apart(
    connection: &Connection,
    group: &[Pending],
) -> Result<Vec<Result<(), CommitError>>, String> {
    let client = connection.client();
    let mut pipeline = Pipeline::default();
    pipeline.control(client, "BEGIN");
    pipeline.control(client, "SAVEPOINT s");
    for pending in group {
        for statement in &pending.batch.statements {
            add(&mut pipeline, connection, statement);
        }
        pipeline.control(client, "SAVEPOINT s");
        pipeline.control(client, "ROLLBACK TO SAVEPOINT s");
    }
    let mut answers = pipeline.run().await.into_iter();
    let mut expect_done = |what: &str| match answers.next() {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(format!("{what}: {error}")),
        None => Err(format!("{what}: no answer")),
    };
    expect_done("BEGIN")?;
    expect_done("SAVEPOINT")?;
    group.iter().map(|pending| outcome_of(pending, &mut answers)).collect()
}

/// What the batch whose answers come next came to.
fn outcome_of(
    pending: &Pending,
    answers: &mut impl Iterator<Item = Result<u64, Error>>,
) -> Result<Result<(), CommitError>, String> {
    let mut outcome = Ok(());
    for (index, statement) in pending.batch.statements.iter().enumerate() {
        let Some(Err(error)) = answers.next() else { continue };
        if outcome.is_ok() {
            outcome = match Trouble::of(&error) {
                Trouble::Refused(refused) => Err(commit_error(index, statement.expected, &refused)),
                Trouble::Lost(reason) => return Err(reason),
            };
        }
    }
    let savepoint = answers.next();
    let rolled_back = answers.next();
    match (savepoint, rolled_back) {
        (Some(Ok(_)), Some(Ok(_))) if outcome.is_ok() => Ok(outcome),
        (Some(Err(_)), Some(Ok(_))) if outcome.is_err() => Ok(outcome),
        _ => Err("the transaction could not go on after a batch".to_owned()),
    }
}

async fn commit_apart(
    connection: &Connection,
    leave: &[Value],
    outcomes: Vec<Result<(), CommitError>>,
) -> Ended {
    let client = connection.client();
    let mut pipeline = Pipeline::default();
    pipeline.statement(client, connection.prepared(LEAVE, None), leave);
    pipeline.control(client, "COMMIT");
    let answers = pipeline.run().await;
    match answers.into_iter().find_map(Result::err).map(|error| Trouble::of(&error)) {
        None => Ended::Committed(outcomes),
        Some(Trouble::Refused(refused)) => Ended::RolledBack(refused.to_string()),
        Some(Trouble::Lost(reason)) => Ended::Lost(reason, outcomes),
    }
}
