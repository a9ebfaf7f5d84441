//! PostgreSQL: lanes that write groups, a few connections for what contends, a pool for reading.

mod alone;
mod committer;
mod connection;
mod error;
mod group;
mod lane;
mod migrate;
mod pipeline;
mod pool;
mod receipt;
mod tls;
mod transaction;
mod value;

use std::sync::Arc;

use runtime::{Deadline, Env};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use self::alone::Alone;
use self::connection::Connector;
use self::lane::Lane;
use self::pool::Pool;
pub use self::tls::TlsSetupError;
pub(crate) use self::transaction::PostgresTransaction;
use crate::group::{Job, MOST_WAITING, Writer, run_lane};
use crate::metrics::DatabaseMetrics;
use crate::migration::History;
use crate::{
    Batch, CommitError, OpenError, PostgresConfig, ReadError, Row, Sql, Timeouts, Transaction, Value,
};

type LaneJob = Job<<Lane as Writer>::Exclusive>;

#[derive(Debug)]
pub(crate) struct Postgres {
    lanes: Vec<mpsc::Sender<LaneJob>>,
    pool: Pool,
    connector: Arc<Connector>,
    running: TaskTracker,
}

impl Postgres {
    pub(crate) async fn open(
        env: &Env,
        metrics: &DatabaseMetrics,
        config: &PostgresConfig,
        timeouts: Timeouts,
        histories: &[History<'_>],
    ) -> Result<Self, OpenError> {
        let connector = Arc::new(Connector::new(config, timeouts, env)?);
        migrate::bring_up(&connector, env, histories).await?;
        let running = TaskTracker::new();
        let (alone, contending) = mpsc::channel(MOST_WAITING);
        env.tasks.spawn("postgres-alone", running.track_future(Alone::new(&connector).run(contending)));
        // Each ends with those who could send to it: the lanes first, which are told.
        let lane = |writer| {
            let (lane, jobs) = mpsc::channel(MOST_WAITING);
            env.tasks.spawn("postgres-lane", running.track_future(run_lane(jobs, writer)));
            lane
        };
        let crowded = lane(Lane::crowded(&connector, alone, metrics));
        let lanes = (0..config.lanes.max(1)).map(|_| lane(Lane::new(&connector, crowded.clone(), metrics)));
        let lanes: Vec<_> = lanes.collect();
        let pool = Pool::new(&connector, config.pool, metrics);
        Ok(Self { lanes, pool, connector, running })
    }

    pub(crate) fn lane(&self, batch: &Batch) -> &mpsc::Sender<LaneJob> {
        &self.lanes[batch.lane(self.lanes.len())]
    }

    pub(crate) async fn query(
        &self,
        sql: Sql,
        params: Vec<Value>,
        deadline: Deadline,
    ) -> Result<Vec<Row>, ReadError> {
        self.pool.query(sql, &params, deadline).await
    }

    pub(crate) async fn begin(&self, deadline: Deadline) -> Result<Transaction, CommitError> {
        PostgresTransaction::begin(&self.pool, &self.connector, deadline).await.map(Transaction::from)
    }

    pub(crate) async fn close(&self) {
        for lane in &self.lanes {
            // A lane that is gone already is closed.
            drop(lane.send(Job::Close).await);
        }
        self.pool.close();
        self.running.close();
        self.running.wait().await;
    }
}
