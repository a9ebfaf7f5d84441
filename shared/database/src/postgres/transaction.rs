use std::sync::Arc;
use std::time::Duration;

use runtime::Deadline;
use uuid::Uuid;

use super::connection::{Connection, Connector, millis, misfit};
use super::error::{Trouble, commit_error, text};
use super::pipeline::Pipeline;
use super::pool::{Lent, Pool, Unanswered, fetch};
use super::receipt::{self, LEAVE};
use crate::row::MOST_ROWS;
use crate::transaction::LIMIT;
use crate::{CommitError, ReadError, Row, Sql, Value, params};

/// A server that does not roll back in this time is left; it does so by itself when the connection ends.
const ROLLBACK: Duration = Duration::from_millis(500);

/// A transaction on a connection of the pool.
pub(crate) struct PostgresTransaction {
    /// Ends with the transaction if that was neither committed nor rolled back.
    connection: Lent,
    connector: Arc<Connector>,
}

impl PostgresTransaction {
    pub(super) async fn begin(
        pool: &Pool,
        connector: &Arc<Connector>,
        deadline: Deadline,
    ) -> Result<Self, CommitError> {
        let connection = pool.get(deadline).await?;
        // The server ends by itself what runs on after its caller has gone.
        let limit = millis(deadline.remaining().min(LIMIT).min(connector.timeouts().statement));
        let begin = format!("BEGIN READ WRITE; SET LOCAL statement_timeout = {limit}");
        let begun = deadline.bound(connection.client().batch_execute(&begin)).await;
        match begun {
            Ok(Ok(())) => Ok(Self { connection, connector: Arc::clone(connector) }),
            Ok(Err(error)) => Err(CommitError::Unavailable(text(&error))),
            Err(_) => Err(CommitError::Unavailable("the deadline passed before it began".to_owned())),
        }
    }

    pub(crate) async fn query(&mut self, sql: Sql, params: &[Value]) -> Result<Vec<Row>, CommitError> {
        let answered = fetch(&mut self.connection, sql, params).await;
        answered.map_err(|unanswered| match unanswered {
            Unanswered::Misfit(reason) => CommitError::Rejected { statement: 0, reason },
            Unanswered::TooManyRows => ReadError::TooManyRows(MOST_ROWS).into(),
            Unanswered::Driver(error) => refused(&error),
        })
    }

    pub(crate) async fn run(&mut self, sql: Sql, params: &[Value]) -> Result<u64, CommitError> {
        let statement = self.connection.prepare(sql, None).await.map_err(|error| refused(&error))?;
        if let Some(reason) = misfit(&statement, params) {
            return Err(CommitError::Rejected { statement: 0, reason });
        }
        self.connection.client().execute_raw(&statement, params).await.map_err(|error| refused(&error))
    }

    pub(crate) async fn commit(mut self, deadline: Deadline) -> Result<(), CommitError> {
        let receipt = self.connector.env().ids.uuid();
        let lost = match deadline.bound(commit(&mut self.connection, receipt)).await {
            Ok(Ok(())) => {
                self.connection.give_back();
                return Ok(());
            }
            Ok(Err(error)) => match Trouble::of(&error) {
                Trouble::Refused(refused) => return Err(commit_error(0, None, &refused)),
                Trouble::Lost(reason) => reason,
            },
            Err(_) => "the server did not answer".to_owned(),
        };
        drop(self.connection);
        match receipt::look_up(&self.connector, &[receipt], deadline).await {
            Ok(committed) if committed == [true] => Ok(()),
            Ok(_) => Err(CommitError::Unavailable(lost)),
            Err(silence) => Err(CommitError::Unknown(format!("{lost}; {silence}"))),
        }
    }

    pub(crate) async fn roll_back(self) {
        let client = self.connection.client();
        let rolled_back = tokio::time::timeout(ROLLBACK, client.batch_execute("ROLLBACK")).await;
        if matches!(rolled_back, Ok(Ok(()))) {
            self.connection.give_back();
        }
    }
}

/// What a failed statement means before anybody has said COMMIT: nothing happened.
fn refused(error: &tokio_postgres::Error) -> CommitError {
    match Trouble::of(error) {
        Trouble::Refused(refused) => commit_error(0, None, &refused),
        Trouble::Lost(reason) => CommitError::Unavailable(reason),
    }
}

async fn commit(connection: &mut Connection, receipt: Uuid) -> Result<(), tokio_postgres::Error> {
    connection.prepare(LEAVE, None).await?;
    let leave = params![connection.last_receipt(0), receipt];
    let mut pipeline = Pipeline::default();
    pipeline.statement(connection.client(), connection.prepared(LEAVE, None), &leave);
    pipeline.control(connection.client(), "COMMIT");
    pipeline.run().await.into_iter().try_for_each(|answer| answer.map(drop))?;
    connection.left(0, receipt);
    Ok(())
}
