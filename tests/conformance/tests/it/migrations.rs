use std::sync::{Arc, Barrier};
use std::time::Duration;

use database::{Config, Database, Migration, OpenError, SqliteConfig, params};
use futures_util::future::join_all;
use tokio::sync::oneshot;

use crate::world::{AMOUNT, SCHEMA, World, commit, note, number};

on_both! {
    processes_that_start_at_once_migrate_once,
    an_edited_migration_is_refused,
    an_older_program_works_on_a_newer_schema_that_says_so,
    a_migration_that_fails_leaves_nothing_behind,
    a_migration_that_takes_longer_than_it_may_is_stopped;
    postgres:
    whoever_starts_while_another_migrates_waits_until_it_has,
}

on_sqlite! { processes_that_make_one_file_at_once_all_open_it }

const fn later(version: u32, text: &'static str, oldest_binary: u32) -> Migration {
    Migration { version, name: "later", postgres: text, sqlite: text, oldest_binary }
}

const ADDED: Migration =
    later(2, "ALTER TABLE lines ADD COLUMN extra INTEGER; CREATE TABLE more (id INTEGER)", 1);

async fn processes_that_start_at_once_migrate_once(world: World) {
    let (one, other, third) = tokio::join!(world.open(), world.open(), world.open());
    let id = world.id();
    commit(&one, note(id, "one", 7)).await.unwrap();
    assert_eq!(number(&other, AMOUNT, params![id]).await, 7);
    assert_eq!(number(&third, AMOUNT, params![id]).await, 7);
}

/// PostgreSQL's do so above; of a file, those who make it never wait for anything but each other's locks, so only
/// threads of their own meet.
async fn processes_that_make_one_file_at_once_all_open_it(world: World) {
    const PROCESSES: usize = 4;
    /// The moment in which they can collide is short.
    const FILES: usize = 25;
    let directory = tempfile::tempdir().unwrap();
    for file in 0..FILES {
        let config = Config::sqlite(SqliteConfig::at(directory.path().join(format!("{file}.db"))));
        let start = Arc::new(Barrier::new(PROCESSES));
        let processes = (0..PROCESSES).map(|_| {
            let (env, metrics, config) = (world.env.clone(), world.metrics.clone(), config.clone());
            let (start, (done, opened)) = (Arc::clone(&start), oneshot::channel());
            let process = async move {
                start.wait();
                let opened = Database::open(&env, &metrics, &config, SCHEMA).await;
                drop(done.send(opened.map(drop).map_err(|error| error.to_string())));
            };
            world.env.tasks.spawn_dedicated("process", process).expect("there is a thread");
            opened
        });
        let opened = join_all(processes.collect::<Vec<_>>()).await;
        assert_eq!(opened, vec![Ok(Ok(())); PROCESSES]);
    }
}

async fn a_migration_that_takes_longer_than_it_may_is_stopped(mut world: World) {
    const ENDLESS: &str = "CREATE TABLE more (id INTEGER); INSERT INTO more WITH RECURSIVE n (i) AS \
         (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT max(i) FROM n";
    world.config.timeouts.migration = Duration::from_millis(300);
    let refused = world.open_with(&[SCHEMA[0], later(2, ENDLESS, 1)]).await.unwrap_err();
    assert!(matches!(refused, OpenError::Migrate { version: 2, .. }), "{refused}");
}

/// Two processes want to change a table that somebody else holds, until both wait: one for the table, and the other
/// for the one.
async fn whoever_starts_while_another_migrates_waits_until_it_has(world: World) {
    const WAITING: &str = "SELECT count(*) FROM pg_locks WHERE NOT granted \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    world.open().await.close().await;
    let outsider = world.outsider();
    outsider.run("BEGIN; LOCK TABLE lines").await;
    let newer = [SCHEMA[0], ADDED];
    let migrate = || world.open_with(&newer);
    let release = async {
        while outsider.number(WAITING).await < 2 {}
        outsider.run("COMMIT").await;
    };
    let (one, other, ()) = tokio::join!(migrate(), migrate(), release);
    one.unwrap();
    other.unwrap();
}

async fn an_edited_migration_is_refused(world: World) {
    world.open().await.close().await;
    let edited = [Migration { postgres: "SELECT 1", sqlite: "SELECT 1", ..SCHEMA[0] }];
    let refused = world.open_with(&edited).await.unwrap_err();
    let text = "migration 1 (notes) was applied with other text; add a new migration instead of editing one";
    assert_eq!(refused.to_string(), text);
}

async fn an_older_program_works_on_a_newer_schema_that_says_so(world: World) {
    let old = world.open().await;
    let newer = world.open_with(&[SCHEMA[0], ADDED]).await.unwrap();
    let id = world.id();
    commit(&old, note(id, "one", 7)).await.unwrap();
    assert_eq!(number(&newer, AMOUNT, params![id]).await, 7);
    assert_eq!(number(&world.open().await, AMOUNT, params![id]).await, 7);
    world.open_with(&[SCHEMA[0], ADDED, later(3, "DROP TABLE more", 3)]).await.unwrap();
    let refused = world.open_with(SCHEMA).await.unwrap_err();
    assert!(matches!(refused, OpenError::TooNew { schema: 3, wanted: 3, known: 1 }), "{refused}");
}

async fn a_migration_that_fails_leaves_nothing_behind(world: World) {
    let broken = later(2, "CREATE TABLE half (id INTEGER); INSERT INTO nowhere VALUES (1)", 2);
    let refused = world.open_with(&[SCHEMA[0], broken]).await.unwrap_err();
    assert!(matches!(refused, OpenError::Migrate { version: 2, .. }), "{refused}");
    let mended = later(2, "CREATE TABLE half (id INTEGER)", 2);
    world.open_with(&[SCHEMA[0], mended]).await.expect("nothing of the broken one was kept");
}
