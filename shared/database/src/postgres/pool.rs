use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::Arc;

use deadpool::managed::{self, Object, PoolError, RecycleError, RecycleResult};
use futures_util::TryStreamExt as _;
use runtime::Deadline;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use super::connection::{Connection, Connector, misfit, unreadable};
use super::error::{Trouble, read_error, text};
use crate::metrics::DatabaseMetrics;
use crate::row::MOST_ROWS;
use crate::{ReadError, Row, Sql, Value};

/// A read whose connection turned out dead is asked again, since reading twice does no harm: most connections that
/// died with a server are noticed before they are lent, and a few may not be.
const MOST_TRIES: usize = 3;

/// Connections for reading, and for transactions.
#[derive(Debug)]
pub(super) struct Pool(managed::Pool<Manager>);

#[derive(Debug)]
struct Manager(Arc<Connector>);

/// A connection of the pool. It ends with whoever drops it, because the server may still be at work for them;
/// only one that was given back serves the next.
pub(super) struct Lent(Option<Object<Manager>>);

impl Lent {
    /// To be said when all that was asked of it has been answered.
    pub(super) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}

impl Deref for Lent {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0.as_deref().expect("it is there until it is given back")
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Connection {
        self.0.as_deref_mut().expect("it is there until it is given back")
    }
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = String;

    async fn create(&self) -> Result<Connection, String> {
        let timeouts = self.0.timeouts();
        let connection = self.0.connect(timeouts.lock, timeouts.statement).await?;
        // A read may be asked again, so it must not write; a transaction says that it does.
        let read_only = connection.client().batch_execute("SET default_transaction_read_only = on").await;
        read_only.map_err(|error| text(&error))?;
        Ok(connection)
    }

    async fn recycle(&self, connection: &mut Connection, _: &managed::Metrics) -> RecycleResult<String> {
        if connection.has_had_its_time() {
            return Err(RecycleError::message("it has had its time"));
        }
        Ok(())
    }
}

impl Pool {
    pub(super) fn new(connector: &Arc<Connector>, size: usize, metrics: &DatabaseMetrics) -> Self {
        let pool = managed::Pool::builder(Manager(Arc::clone(connector))).max_size(size.max(1)).build();
        let pool = pool.expect("a pool without timeouts of its own needs no runtime");
        let (open, waiting) = (pool.clone(), pool.clone());
        metrics.gauge("db_pool_connections", "Connections for reading that are open", move || {
            open.status().size
        });
        metrics.gauge("db_pool_waiting", "Callers who wait for one", move || waiting.status().waiting);
        let used = pool.clone();
        metrics.gauge("db_pool_used", "Connections for reading that are in use", move || {
            let status = used.status();
            status.size.saturating_sub(status.available)
        });
        Self(pool)
    }

    /// A connection of the caller's own, for a while.
    pub(super) async fn get(&self, deadline: Deadline) -> Result<Lent, ReadError> {
        let acquire = self.0.manager().0.timeouts().acquire;
        match deadline.at_most(acquire).bound(self.0.get()).await {
            Ok(Ok(connection)) => Ok(Lent(Some(connection))),
            Ok(Err(PoolError::Backend(reason))) => Err(ReadError::Unavailable(reason)),
            Ok(Err(other)) => Err(ReadError::Unavailable(other.to_string())),
            Err(_) => Err(ReadError::Unavailable("no connection was free in time".to_owned())),
        }
    }

    pub(super) async fn query(
        &self,
        sql: Sql,
        params: &[Value],
        deadline: Deadline,
    ) -> Result<Vec<Row>, ReadError> {
        let mut last = ReadError::Unavailable("the deadline passed".to_owned());
        for _ in 0..MOST_TRIES {
            let mut connection = self.get(deadline).await?;
            let answered = match deadline.bound(fetch(&mut connection, sql, params)).await {
                Ok(answered) => answered,
                Err(_) => {
                    let reason = "the deadline passed before the answer came".to_owned();
                    return Err(ReadError::Unavailable(reason));
                }
            };
            let refused = match answered {
                Ok(rows) => {
                    connection.give_back();
                    return Ok(rows);
                }
                Err(Unanswered::TooManyRows) => return Err(ReadError::TooManyRows(MOST_ROWS)),
                Err(Unanswered::Misfit(reason)) => ReadError::Rejected(reason),
                Err(Unanswered::Driver(error))
                    if error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION) =>
                {
                    ReadError::Rejected(text(&error))
                }
                Err(Unanswered::Driver(error)) => match Trouble::of(&error) {
                    Trouble::Refused(refused) => read_error(&refused),
                    Trouble::Lost(reason) => {
                        last = ReadError::Unavailable(reason);
                        continue;
                    }
                },
            };
            connection.give_back();
            return Err(refused);
        }
        Err(last)
    }

    pub(super) fn close(&self) {
        self.0.close();
    }
}

/// Why a query gave no rows.
pub(super) enum Unanswered {
    /// It cannot be run with these parameters, or its answer could not be read.
    Misfit(String),
    /// There are more rows than an answer may hold.
    TooManyRows,
    /// The server's refusal, or the loss of the connection.
    Driver(Error),
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

/// Asks once.
pub(super) async fn fetch(
    connection: &mut Connection,
    sql: Sql,
    params: &[Value],
) -> Result<Vec<Row>, Unanswered> {
    let statement = connection.prepare(sql, None).await?;
    if let Some(reason) = misfit(&statement, params).or_else(|| unreadable(&statement)) {
        return Err(Unanswered::Misfit(reason));
    }
    let mut rows = pin!(connection.client().query_raw(&statement, params).await?);
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await? {
        if found.len() == MOST_ROWS {
            return Err(Unanswered::TooManyRows);
        }
        let values: Result<_, _> = (0..row.len()).map(|column| row.try_get(column)).collect();
        found.push(Row::new(values?));
    }
    Ok(found)
}
