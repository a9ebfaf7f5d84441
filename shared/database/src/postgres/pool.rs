use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{self, Object, PoolError, RecycleError, RecycleResult};
use futures_util::TryStreamExt as _;
use runtime::Deadline;
use tokio_postgres::Error;

use super::connection::{Connection, Connector, misfit};
use super::error::{Trouble, read_error};
use crate::metrics::DatabaseMetrics;
use crate::row::MOST_ROWS;
use crate::{ReadError, Row, Sql, Value};

/// A connection is replaced after this, so that a server that was added or moved gets its share.
const LONGEST_AGE: Duration = Duration::from_secs(30 * 60);

/// A read whose connection turned out dead is asked again, since reading twice does no harm: as often as it
/// takes to get past the connections that died with the same server.
const MOST_TRIES: usize = 3;

/// Connections for reading, and for transactions.
#[derive(Debug)]
pub(super) struct Pool(managed::Pool<Manager>);

pub(super) type Pooled = Object<Manager>;

#[derive(Debug)]
pub(super) struct Manager(Arc<Connector>);

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = String;

    async fn create(&self) -> Result<Connection, String> {
        let timeouts = self.0.timeouts();
        self.0.connect(timeouts.lock, timeouts.statement).await
    }

    async fn recycle(&self, connection: &mut Connection, _: &managed::Metrics) -> RecycleResult<String> {
        if connection.is_closed() || connection.age() > LONGEST_AGE {
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
    pub(super) async fn get(&self, deadline: Deadline) -> Result<Pooled, ReadError> {
        let acquire = self.0.manager().0.timeouts().acquire;
        match deadline.at_most(acquire).bound(self.0.get()).await {
            Ok(Ok(connection)) => Ok(connection),
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
            let lost = match deadline.bound(fetch(&mut connection, sql, params)).await {
                Ok(Ok(rows)) => return Ok(rows),
                Ok(Err(Unanswered::Misfit(reason))) => return Err(ReadError::Rejected(reason)),
                Ok(Err(Unanswered::TooManyRows)) => return Err(ReadError::TooManyRows(MOST_ROWS)),
                Ok(Err(Unanswered::Driver(error))) => match Trouble::of(&error) {
                    Trouble::Refused(refused) => return Err(read_error(&refused)),
                    Trouble::Lost(reason) => reason,
                },
                Err(_) => "the deadline passed before the answer came".to_owned(),
            };
            last = ReadError::Unavailable(lost);
            // The next caller must not wait behind what this one has given up.
            drop(Object::take(connection));
            if deadline.has_passed() {
                break;
            }
        }
        Err(last)
    }

    pub(super) fn close(&self) {
        self.0.close();
    }
}

/// Why a query gave no rows.
pub(super) enum Unanswered {
    /// It cannot be run with these parameters.
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
    let statement = connection.prepare(sql, None).await?.clone();
    if let Some(reason) = misfit(&statement, params) {
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
