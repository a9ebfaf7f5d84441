use std::sync::Arc;

use runtime::{Clock, Deadline, Env};
use telemetry::Metrics;
use tokio::sync::mpsc;
use types::Timestamp;

use crate::group::{Job, Pending};
use crate::metrics::DatabaseMetrics;
use crate::migration::{History, Migration};
use crate::postgres::Postgres;
use crate::sqlite::Sqlite;
use crate::transaction::{LIMIT, Transaction};
use crate::value::HAS_NUL;
use crate::{Backend, Batch, CommitError, Config, OpenError, ReadError, Row, Sql, Value, schema};

/// A service's database. Cheap to clone; all clones share the same connections.
#[derive(Clone, Debug)]
pub struct Database {
    engine: Arc<Engine>,
    metrics: DatabaseMetrics,
    clock: Clock,
}

#[derive(Debug)]
enum Engine {
    Postgres(Postgres),
    Sqlite(Sqlite),
}

impl Database {
    /// Opens the database, brings its schema up to `migrations` and starts its writers and readers.
    ///
    /// Several processes may do so at once: one migrates, the others wait for it.
    ///
    /// # Errors
    /// [`OpenError`]: it cannot be reached, would not keep what it acknowledges, or its schema and
    /// `migrations` do not go together.
    pub async fn open(
        env: &Env,
        metrics: &Metrics,
        config: &Config,
        migrations: &[Migration],
    ) -> Result<Self, OpenError> {
        let histories = [schema::HISTORY, History { component: "service", migrations }];
        let metrics = DatabaseMetrics::new(metrics);
        let engine = match &config.backend {
            Backend::Postgres(at) => {
                Engine::Postgres(Postgres::open(env, &metrics, at, config.timeouts, &histories).await?)
            }
            Backend::Sqlite(at) => {
                Engine::Sqlite(Sqlite::open(env, &metrics, at, config.timeouts, &histories).await?)
            }
        };
        Ok(Self { engine: Arc::new(engine), metrics, clock: env.clock.clone() })
    }

    /// Commits `batch` whole, or not at all, and answers after it is durable.
    ///
    /// # Errors
    /// [`CommitError`]. Every error but [`CommitError::Unknown`] means that nothing of it happened.
    pub async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<(), CommitError> {
        let outcome = match batch.check() {
            Ok(()) if batch.statements.is_empty() => Ok(()),
            Ok(()) => self.enqueue(batch, deadline).await,
            Err(refused) => Err(refused),
        };
        self.metrics.committed(&outcome);
        outcome
    }

    async fn enqueue(&self, batch: Batch, deadline: Deadline) -> Result<(), CommitError> {
        let lane = match &*self.engine {
            Engine::Postgres(postgres) => postgres.lane(&batch),
            Engine::Sqlite(sqlite) => return submit(sqlite.writer(), batch, deadline).await,
        };
        submit(lane, batch, deadline).await
    }

    /// The rows that `query` finds, seen as of one moment. It cannot write, and may be asked more than once.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn query(
        &self,
        query: Sql,
        params: Vec<Value>,
        deadline: Deadline,
    ) -> Result<Vec<Row>, ReadError> {
        if params.iter().any(Value::has_nul) {
            return Err(ReadError::Rejected(HAS_NUL.to_owned()));
        }
        match &*self.engine {
            Engine::Postgres(postgres) => postgres.query(query, params, deadline).await,
            Engine::Sqlite(sqlite) => sqlite.query(query, params, deadline).await,
        }
    }

    /// The first row that `query` finds, if any.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn query_opt(
        &self,
        query: Sql,
        params: Vec<Value>,
        deadline: Deadline,
    ) -> Result<Option<Row>, ReadError> {
        Ok(self.query(query, params, deadline).await?.into_iter().next())
    }

    /// Runs `work` in a transaction of its own: for the case that must read before it can decide what to
    /// write. Commits when `work` succeeds and rolls back when it does not.
    ///
    /// Nothing but the transaction is to be awaited in `work`; after a second it is rolled back, because it
    /// keeps others from its rows, and on SQLite from writing at all.
    ///
    /// # Errors
    /// Those of `work`, and [`CommitError`] where beginning or committing fails.
    pub async fn transaction<T, E, F>(&self, deadline: Deadline, work: F) -> Result<T, E>
    where
        E: From<CommitError>,
        F: AsyncFnOnce(&mut Transaction) -> Result<T, E>,
    {
        let mut transaction = match &*self.engine {
            Engine::Postgres(postgres) => postgres.begin(deadline).await?,
            Engine::Sqlite(sqlite) => sqlite.begin(deadline).await?,
        };
        let bound = deadline.at_most(LIMIT);
        match bound.bound(work(&mut transaction)).await {
            Ok(Ok(value)) => {
                let outcome = transaction.commit(deadline).await;
                self.metrics.committed(&outcome);
                outcome.map(|()| value).map_err(E::from)
            }
            Ok(Err(refused)) => {
                transaction.roll_back().await;
                Err(refused)
            }
            Err(_) => {
                transaction.roll_back().await;
                Err(CommitError::Unavailable("the transaction took longer than it may".to_owned()).into())
            }
        }
    }

    /// Whether the database can be reached now: for a readiness check.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] with the reason.
    pub async fn ping(&self, deadline: Deadline) -> Result<(), ReadError> {
        const PING: Sql = Sql::new("SELECT 1");
        self.query(PING, Vec::new(), deadline).await.map(drop)
    }

    /// Ends the writers and readers once what was handed to them is done. What comes later is refused.
    pub async fn close(&self) {
        match &*self.engine {
            Engine::Postgres(postgres) => postgres.close().await,
            Engine::Sqlite(sqlite) => sqlite.close().await,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

async fn submit<E>(lane: &mpsc::Sender<Job<E>>, batch: Batch, deadline: Deadline) -> Result<(), CommitError> {
    let (pending, waiting) = Pending::new(batch, deadline);
    match lane.try_send(Job::Batch(pending)) {
        Ok(()) => waiting.outcome().await,
        Err(mpsc::error::TrySendError::Full(_)) => Err(CommitError::Overloaded),
        Err(mpsc::error::TrySendError::Closed(_)) => {
            Err(CommitError::Unavailable("the database is closed".to_owned()))
        }
    }
}
