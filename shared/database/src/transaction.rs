use std::time::Duration;

use crate::postgres::PostgresTransaction;
use crate::sqlite::SqliteTransaction;
use crate::{CommitError, Row, Sql, Value};

/// How long a transaction may hold its rows. On SQLite nobody else writes meanwhile.
pub(crate) const LIMIT: Duration = Duration::from_secs(1);

/// An open transaction, for the case that must read before it can decide what to write.
pub struct Transaction(Engine);

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
        match &mut self.0 {
            Engine::Postgres(transaction) => transaction.query(query, &params).await,
            Engine::Sqlite(transaction) => transaction.query(query, params).await,
        }
    }

    /// Runs `statement` and tells how many rows it touched.
    ///
    /// # Errors
    /// [`CommitError`]; the transaction cannot go on after one.
    pub async fn run(&mut self, statement: Sql, params: Vec<Value>) -> Result<u64, CommitError> {
        match &mut self.0 {
            Engine::Postgres(transaction) => transaction.run(statement, &params).await,
            Engine::Sqlite(transaction) => transaction.run(statement, params).await,
        }
    }

    pub(crate) async fn commit(self, deadline: runtime::Deadline) -> Result<(), CommitError> {
        match self.0 {
            Engine::Postgres(transaction) => transaction.commit(deadline).await,
            Engine::Sqlite(transaction) => transaction.commit(deadline).await,
        }
    }

    pub(crate) async fn roll_back(self) {
        match self.0 {
            Engine::Postgres(transaction) => transaction.roll_back().await,
            // The writer rolls back what was not committed when the transaction is dropped.
            Engine::Sqlite(transaction) => drop(transaction),
        }
    }
}

impl From<PostgresTransaction> for Transaction {
    fn from(transaction: PostgresTransaction) -> Self {
        Self(Engine::Postgres(Box::new(transaction)))
    }
}

impl From<SqliteTransaction> for Transaction {
    fn from(transaction: SqliteTransaction) -> Self {
        Self(Engine::Sqlite(transaction))
    }
}
