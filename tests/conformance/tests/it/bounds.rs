use std::time::Duration;

use database::{Batch, CommitError, ReadError, Sql, Transaction, params};
use futures_util::future::join_all;
use runtime::Deadline;

use crate::lost_answers::behind_a_proxy;
use crate::proxy::Door;
use crate::world::{AMOUNT, COUNT, World, commit, note, number, soon};

on_both! {
    more_batches_than_may_wait_are_refused_at_once,
    a_query_that_takes_too_long_is_ended,
    an_answer_of_too_many_rows_is_refused,
    a_query_that_cannot_run_is_our_fault_and_harms_nobody,
    a_query_cannot_write;
    postgres:
    what_correctness_stands_on_is_set_for_each_session,
    a_transaction_of_which_nobody_asks_anything_is_ended,
    whoever_finds_no_free_connection_in_time_is_told,
    a_read_that_its_caller_abandons_keeps_nobody_waiting,
    a_server_that_accepts_and_says_nothing_is_given_up,
    an_answer_that_cannot_be_read_is_our_fault_and_harms_nobody,
    a_server_that_would_lose_commits_is_refused,
    a_database_that_is_not_there_is_named_without_its_password,
}

/// Runs for longer than any test: a join of millions of rows with themselves.
const ENDLESS: Sql = Sql::new(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT count(*) FROM n",
);
const MANY: Sql =
    Sql::new("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) SELECT i FROM n");

const NAMED: Sql = Sql::new("SELECT amount FROM notes WHERE name = $1");
/// The platform's sessions that have begun a transaction and do nothing in it.
const IDLE: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
     AND application_name = 'flotilla' AND state = 'idle in transaction'";

async fn more_batches_than_may_wait_are_refused_at_once(world: World) {
    let database = world.open().await;
    let commits = (0..3_000).map(|at| commit(&database, note(world.id(), &at.to_string(), 1)));
    let outcomes = join_all(commits).await;
    let kept = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let refused = outcomes.iter().filter(|outcome| **outcome == Err(CommitError::Overloaded)).count();
    assert_eq!(kept + refused, 3_000);
    assert!(kept >= 1_024 && refused > 0, "{kept} were kept and {refused} refused");
    assert_eq!(number(&database, COUNT, vec![]).await, i64::try_from(kept).unwrap());
}

async fn a_query_that_takes_too_long_is_ended(mut world: World) {
    world.config.timeouts.statement = Duration::from_millis(200);
    let database = world.open().await;
    let ended = database.query(ENDLESS, vec![], soon()).await;
    assert!(matches!(ended, Err(ReadError::Unavailable(_))), "{ended:?}");
    let mut batch = Batch::new();
    batch.require(1, ENDLESS, vec![]);
    let ended = commit(&database, batch).await;
    assert!(matches!(ended, Err(CommitError::Unavailable(_))), "{ended:?}");
    assert_eq!(number(&database, COUNT, vec![]).await, 0);
}

async fn an_answer_of_too_many_rows_is_refused(world: World) {
    let database = world.open().await;
    assert_eq!(database.query(MANY, params![10_000_i64], soon()).await.unwrap().len(), 10_000);
    let refused = database.query(MANY, params![10_001_i64], soon()).await;
    assert_eq!(refused, Err(ReadError::TooManyRows(10_000)));
}

async fn a_query_that_cannot_run_is_our_fault_and_harms_nobody(world: World) {
    const BROKEN: Sql = Sql::new("SELECT nothing FROM nowhere");
    let database = world.open().await;
    let refused = database.query(BROKEN, vec![], soon()).await;
    assert!(matches!(refused, Err(ReadError::Rejected(_))), "{refused:?}");
    let refused = database.query(AMOUNT, vec![], soon()).await;
    assert!(matches!(refused, Err(ReadError::Rejected(_))), "{refused:?}");
    assert_eq!(number(&database, COUNT, vec![]).await, 0);
}

async fn a_query_cannot_write(world: World) {
    const WRITE: Sql =
        Sql::new("INSERT INTO notes (id, name, amount) VALUES ($1, 'written', 1) RETURNING amount");
    let database = world.open().await;
    let refused = database.query(WRITE, params![world.id()], soon()).await;
    assert!(matches!(refused, Err(ReadError::Rejected(_))), "{refused:?}");
    let refused = database.query(NAMED, params!["a\0b"], soon()).await;
    assert!(matches!(refused, Err(ReadError::Rejected(_))), "{refused:?}");
    assert_eq!(number(&database, COUNT, vec![]).await, 0);
}

async fn what_correctness_stands_on_is_set_for_each_session(world: World) {
    const SETTINGS: Sql = Sql::new(
        "SELECT name || ' = ' || setting || ', ' || source FROM pg_settings \
         WHERE name IN ('default_transaction_isolation', 'synchronous_commit') ORDER BY name",
    );
    let outsider = world.outsider();
    let name = outsider.database().await;
    outsider.run(&format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")).await;
    let database = world.open().await;
    let settings = database.query(SETTINGS, vec![], soon()).await.unwrap();
    let settings: Vec<String> = settings.iter().map(|row| row.get(0).unwrap()).collect();
    let pinned =
        ["default_transaction_isolation = read committed, session", "synchronous_commit = on, session"];
    assert_eq!(settings, pinned);
}

async fn a_transaction_of_which_nobody_asks_anything_is_ended(mut world: World) {
    world.config.timeouts.idle_in_transaction = Duration::from_millis(200);
    let database = world.open().await;
    let mut has_ended = false;
    let idle = async |tx: &mut Transaction| {
        tx.query(COUNT, vec![]).await?;
        // As a program does that is paused.
        while world.outsider().number(IDLE).await > 0 {}
        has_ended = true;
        tx.query(COUNT, vec![]).await
    };
    let ended = database.transaction(soon(), idle).await;
    assert!(has_ended, "it took the transaction's whole second");
    assert!(matches!(ended, Err(CommitError::Unavailable(_))), "{ended:?}");
}

async fn whoever_finds_no_free_connection_in_time_is_told(mut world: World) {
    const SLOW: Sql = Sql::new("SELECT pg_sleep(2)");
    world.postgres_config().pool = 2;
    world.config.timeouts.acquire = Duration::from_millis(800);
    let database = world.open().await;
    let slow = || database.query(SLOW, vec![], soon());
    let late = async { database.query(COUNT, vec![], soon()).await };
    let (one, other, late) = tokio::join!(biased; slow(), slow(), late);
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    assert_eq!(late, Err(ReadError::Unavailable("no connection was free in time".to_owned())));
    let hurried = database.query(SLOW, vec![], Deadline::within(Duration::from_millis(50))).await;
    assert!(matches!(hurried, Err(ReadError::Unavailable(_))), "{hurried:?}");
}

async fn a_read_that_its_caller_abandons_keeps_nobody_waiting(mut world: World) {
    const SLOW: Sql = Sql::new("SELECT pg_sleep(60)");
    const RUNNING: &str = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event = 'PgSleep'";
    world.postgres_config().pool = 1;
    let database = world.open().await;
    let is_running = async { while world.outsider().number(RUNNING).await == 0 {} };
    tokio::select! {
        ended = database.query(SLOW, vec![], soon()) => panic!("it came to {ended:?}"),
        () = is_running => {}
    }
    let next = database.query(COUNT, vec![], Deadline::within(Duration::from_secs(3))).await;
    assert!(next.is_ok(), "{next:?}");
}

async fn a_server_that_accepts_and_says_nothing_is_given_up(mut world: World) {
    // The one that is to pass first, by far.
    world.config.timeouts.connect = Duration::from_secs(2);
    world.config.timeouts.acquire = Duration::from_secs(10);
    let (database, proxy) = behind_a_proxy(&mut world).await;
    proxy.turn(Door::Mute);
    let unheard = database.query(COUNT, vec![], soon()).await;
    assert_eq!(unheard, Err(ReadError::Unavailable("the server did not answer".to_owned())));
}

async fn an_answer_that_cannot_be_read_is_our_fault_and_harms_nobody(world: World) {
    const NUMERIC: Sql = Sql::new("SELECT sum(amount) FROM notes");
    let database = world.open().await;
    let refused = database.query(NUMERIC, vec![], soon()).await;
    let reason = "column sum is numeric, which cannot be read".to_owned();
    assert_eq!(refused, Err(ReadError::Rejected(reason)));
    assert_eq!(number(&database, COUNT, vec![]).await, 0);
}

async fn a_server_that_would_lose_commits_is_refused(mut world: World) {
    let outsider = world.outsider();
    let database = outsider.database().await;
    outsider.run(&format!("ALTER DATABASE {database} SET synchronous_commit = off")).await;
    world.config.timeouts.connect = Duration::from_millis(500);
    let refused = world.open_with(&[]).await.unwrap_err().to_string();
    assert!(refused.contains("synchronous_commit is off"), "{refused}");
}

async fn a_database_that_is_not_there_is_named_without_its_password(mut world: World) {
    let config = world.postgres_config();
    config.database = "nowhere".to_owned();
    let password = config.password.reveal().to_owned();
    let refused = world.open_with(&[]).await.unwrap_err().to_string();
    assert!(refused.contains("/nowhere: ") && refused.contains("does not exist"), "{refused}");
    assert!(!format!("{:?} {refused}", world.config).contains(&password), "{refused}");
}
