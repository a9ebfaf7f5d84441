use std::time::Duration;

use runtime::Deadline;

use crate::postgres::PostgresTransaction;
use crate::sqlite::SqliteTransaction;
use crate::value::HAS_NUL;
use crate::{CommitError, Row, Sql, Value};

/// How long a transaction may hold its rows. On SQLite nobody else writes meanwhile.
pub(crate) const LIMIT: Duration = Duration::from_secs(1);

/// An open transaction, for the case that must read before it can decide what to write.
pub struct Transaction {
    engine: Engine,
    /// A statement failed, or was not waited for.
    failed: bool,
}

enum Engine {
    Postgres(Box<PostgresTransaction>),
    Sqlite(SqliteTransaction),
}

impl Transaction {
    /// The rows that `query` finds; it may also be a statement with `RETURNING`.
    ///
    /// # Errors
    /// [`CommitError`]; the transaction cannot go on after one.
    pub async fn query(&mut self, query: Sql, params: Vec<Value>) -> Result<Vec<Row>, CommitError> {
        self.begin_statement(&params)?;
        let found = match &mut self.engine {
            Engine::Postgres(transaction) => transaction.query(query, &params).await,
            Engine::Sqlite(transaction) => transaction.query(query, params).await,
        };
        self.failed = found.is_err();
        found
    }

    /// Runs `statement` and tells how many rows it touched.
    ///
    /// # Errors
    /// [`CommitError`]; the transaction cannot go on after one.
    pub async fn run(&mut self, statement: Sql, params: Vec<Value>) -> Result<u64, CommitError> {
        self.begin_statement(&params)?;
        let touched = match &mut self.engine {
            Engine::Postgres(transaction) => transaction.run(statement, &params).await,
            Engine::Sqlite(transaction) => transaction.run(statement, params).await,
        };
        self.failed = touched.is_err();
        touched
    }

    /// A transaction in which a statement failed refuses every other and the commit, on both databases.
    fn begin_statement(&mut self, params: &[Value]) -> Result<(), CommitError> {
        if self.failed {
            return Err(failed());
        }
        self.failed = true;
        if params.iter().any(Value::has_nul) {
            return Err(CommitError::Rejected { statement: 0, reason: HAS_NUL.to_owned() });
        }
        Ok(())
    }

    pub(crate) async fn commit(self, deadline: Deadline) -> Result<(), CommitError> {
        if self.failed {
            self.roll_back().await;
            return Err(failed());
        }
        match self.engine {
            Engine::Postgres(transaction) => transaction.commit(deadline).await,
            Engine::Sqlite(transaction) => transaction.commit(deadline).await,
        }
    }

    pub(crate) async fn roll_back(self) {
        match self.engine {
            Engine::Postgres(transaction) => transaction.roll_back().await,
            // The writer rolls back what was not committed when the transaction is dropped.
            Engine::Sqlite(transaction) => drop(transaction),
        }
    }
}

impl From<PostgresTransaction> for Transaction {
    fn from(transaction: PostgresTransaction) -> Self {
        Self { engine: Engine::Postgres(Box::new(transaction)), failed: false }
    }
}

impl From<SqliteTransaction> for Transaction {
    fn from(transaction: SqliteTransaction) -> Self {
        Self { engine: Engine::Sqlite(transaction), failed: false }
    }
}

fn failed() -> CommitError {
    let reason = "a statement of the transaction failed before".to_owned();
    CommitError::Rejected { statement: 0, reason }
}
