//! SQLite: one writer, a few readers, each with a connection of its own.

mod connection;
mod migrate;
mod reader;
mod writer;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use runtime::{Deadline, Env};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use self::connection::{BUSY_PAUSE, Connection, cannot_open};
use self::reader::{Read, run_reader};
pub(crate) use self::writer::SqliteTransaction;
use self::writer::{Session, SqliteWriter};
use crate::group::{Job, MOST_WAITING, run_lane};
use crate::metrics::DatabaseMetrics;
use crate::migration::History;
use crate::{CommitError, OpenError, ReadError, Row, Sql, SqliteConfig, Timeouts, Transaction, Value};

/// How long to wait for another process that starts with the same file; it may migrate it.
const PATIENCE: Duration = Duration::from_secs(60);

/// There are password hashes inside. SQLite gives the files beside it the same mode.
const FOR_ITS_OWNER: u32 = 0o600;

/// Queries that may wait for a reader; at tens of microseconds each they are all answered within moments.
const MOST_READS_WAITING: usize = 1_024;

#[derive(Debug)]
pub(crate) struct Sqlite {
    writer: mpsc::Sender<Job<Session>>,
    reads: async_channel::Sender<Read>,
    running: TaskTracker,
}

impl Sqlite {
    pub(crate) async fn open(
        env: &Env,
        metrics: &DatabaseMetrics,
        config: &SqliteConfig,
        timeouts: Timeouts,
        histories: &[History<'_>],
    ) -> Result<Self, OpenError> {
        make_directory_of(&config.path)?;
        make_file(config)?;
        let mut connection = when_unlocked(config, env, || Connection::open_writer(config, timeouts)).await?;
        for history in histories {
            migrate::bring_up(&mut connection, env, history, timeouts.migration).await?;
        }
        sync_directory_of(&config.path)?;
        let (writer, jobs) = mpsc::channel(MOST_WAITING);
        let (reads, queue) = async_channel::bounded(MOST_READS_WAITING);
        let running = TaskTracker::new();
        let lane = run_lane(jobs, SqliteWriter::new(connection, env, metrics));
        env.tasks.spawn_dedicated("sqlite-writer", running.track_future(lane))?;
        for _ in 0..config.readers.max(1) {
            let connection = when_unlocked(config, env, || Connection::open_reader(config, timeouts)).await?;
            let reader = run_reader(queue.clone(), connection, env.random.clone());
            env.tasks.spawn_dedicated("sqlite-reader", running.track_future(reader))?;
        }
        Ok(Self { writer, reads, running })
    }

    pub(crate) fn writer(&self) -> &mpsc::Sender<Job<Session>> {
        &self.writer
    }

    pub(crate) async fn query(
        &self,
        sql: Sql,
        params: Vec<Value>,
        deadline: Deadline,
    ) -> Result<Vec<Row>, ReadError> {
        let (answer, rows) = oneshot::channel();
        let read = Read { sql, params, deadline, answer };
        self.reads.try_send(read).map_err(|refused| match refused {
            async_channel::TrySendError::Full(_) => {
                ReadError::Unavailable("too many queries are waiting".to_owned())
            }
            async_channel::TrySendError::Closed(_) => closed(),
        })?;
        match deadline.bound(rows).await {
            Ok(answered) => answered.unwrap_or_else(|_| Err(closed())),
            Err(_) => Err(ReadError::Unavailable("the deadline passed".to_owned())),
        }
    }

    pub(crate) async fn begin(&self, deadline: Deadline) -> Result<Transaction, CommitError> {
        SqliteTransaction::begin(&self.writer, deadline).await.map(Transaction::from)
    }

    pub(crate) async fn close(&self) {
        self.reads.close();
        // A writer that is gone already is closed.
        drop(self.writer.send(Job::Close).await);
        self.running.close();
        self.running.wait().await;
    }
}

/// Opens a connection, waiting while another process that starts has the file locked.
async fn when_unlocked(
    config: &SqliteConfig,
    env: &Env,
    open: impl Fn() -> Result<Option<Connection>, OpenError>,
) -> Result<Connection, OpenError> {
    let patience = Deadline::within(PATIENCE);
    loop {
        match open()? {
            Some(connection) => return Ok(connection),
            None if patience.has_passed() => {
                return Err(cannot_open(config, "another process keeps it locked"));
            }
            None => tokio::time::sleep(env.random.jitter(BUSY_PAUSE)).await,
        }
    }
}

fn closed() -> ReadError {
    ReadError::Unavailable("the database is closed".to_owned())
}

fn make_directory_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// Makes the file where it is missing, so that it is its owner's alone. One that is there is not even opened: closing
/// it again would take away the locks of those who use it in this process.
fn make_file(config: &SqliteConfig) -> io::Result<()> {
    if config.vfs.is_some() {
        // Another VFS may keep it elsewhere.
        return Ok(());
    }
    match OpenOptions::new().write(true).create_new(true).mode(FOR_ITS_OWNER).open(&config.path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Without it a power loss could take away the file's name together with all that was acknowledged in it. Done at
/// every start, since the one that made the file may have been killed before it came to this.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
