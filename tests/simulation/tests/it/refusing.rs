//! A disk that refuses a commit leaves its outcome open, and the database goes on once it takes changes again.

use std::time::Duration;

use database::{Batch, CommitError, Config, Database, Migration, Sql, SqliteConfig, params};
use runtime::{Clock, Deadline, Env, Net, Random};
use simulation::storage::{Disk, Refusal};
use telemetry::Metrics;
use types::{ServiceName, Timestamp};

const SCHEMA: &[Migration] = &[Migration {
    version: 1,
    name: "kept",
    postgres: "CREATE TABLE kept (number BIGINT PRIMARY KEY)",
    sqlite: "CREATE TABLE kept (number INTEGER PRIMARY KEY) STRICT",
    oldest_binary: 1,
}];

const KEEP: Sql = Sql::new("INSERT INTO kept VALUES ($1)");
const KEPT: Sql = Sql::new("SELECT number FROM kept ORDER BY number");

/// Longer than a simulated disk hangs.
fn soon() -> Deadline {
    Deadline::within(Duration::from_secs(20))
}

async fn keep(database: &Database, number: i64) -> Result<(), CommitError> {
    let mut batch = Batch::new();
    batch.key(number).run(KEEP, params![number]);
    database.commit(batch, soon()).await
}

/// A database on a disk of its own, which is attached as `process`.
async fn open(process: &'static str) -> (tempfile::TempDir, Disk, Database) {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::new(|_| ());
    disk.attach(process).unwrap();
    let env = Env::simulated(Clock::from_tokio(Timestamp::default()), Random::seeded(1), Net::system());
    let metrics = Metrics::new(&ServiceName::new("test"), "0");
    let file = SqliteConfig::at(directory.path().join("kept.db"));
    let config = Config::sqlite(SqliteConfig { vfs: Some(process.to_owned()), ..file });
    let database = Database::open(&env, &metrics, &config, SCHEMA).await.unwrap();
    (directory, disk, database)
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_the_disk_refuses_may_have_happened_and_the_next_one_does() {
    let (_directory, disk, database) = open("refusing").await;
    for (refusal, number) in [(Refusal::Full, 1), (Refusal::Broken, 2)] {
        disk.refuse(refusal);
        let refused = keep(&database, number).await;
        assert!(matches!(refused, Err(CommitError::Unknown(_))), "{refused:?}");
        disk.accept();
        assert_eq!(keep(&database, -number).await, Ok(()));
    }
    assert_eq!(disk.refused(), 2);
    let rows = database.query(KEPT, vec![], soon()).await.unwrap();
    let numbers: Vec<i64> = rows.iter().map(|row| row.get(0).unwrap()).collect();
    assert_eq!(numbers, [-2, -1]);
    database.close().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_refused_for_what_the_disk_did_not_take() {
    let (_directory, disk, database) = open("neighbours").await;
    disk.refuse(Refusal::Broken);
    let (first, second) = tokio::join!(keep(&database, 1), keep(&database, 1));
    assert!(matches!(first, Err(CommitError::Unknown(_))), "{first:?}");
    assert!(matches!(second, Err(CommitError::Unavailable(_))), "{second:?}");
    assert_eq!(disk.refused(), 1, "they shared a commit");
    disk.accept();
    assert_eq!(keep(&database, 1).await, Ok(()), "there was nothing to refuse it for");
    database.close().await;
}
