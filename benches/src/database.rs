use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use database::{Batch, Database, Sql, params};
use runtime::{Deadline, Env};
use tokio::process::Command;
use tokio::time::Instant;
use uuid::{Builder, Uuid};

use crate::figures::{Limit, Limits, median};
use crate::load::all_at_once;
use crate::server::{SCHEMA, Server, open_sqlite, variable};

const CALLERS: usize = 32;
const SPAN: Duration = Duration::from_secs(6);
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);

/// What sharing a transaction is worth, on a server that others commit to as well.
const TO_PGBENCH: Limit = Limit::AtLeast(1.5);
/// And in a file, where an fsync is nearly all that a commit costs.
const TO_ONE_EACH: Limit = Limit::AtLeast(8.0);

pub(crate) const ONE: Sql = Sql::new("INSERT INTO one (id, amount) VALUES ($1, $2)");
pub(crate) const TWO: Sql = Sql::new("INSERT INTO two (id, text) VALUES ($1, $2)");

/// The same two rows as [`two_rows`] with a [`random_id`], a transaction each.
const PGBENCH: &str = "\\set amount random(1, 1000000)
BEGIN;
INSERT INTO one (id, amount) VALUES (gen_random_uuid(), :amount);
INSERT INTO two (id, text) VALUES (gen_random_uuid(), 'a line of text as an order has');
COMMIT;
";

pub(crate) async fn run() -> Result<()> {
    let env = Env::system(1);
    let mut limits = Limits::default();
    let server = Server::fresh(&env).await?;
    let database = server.open(&env).await?;
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        peers.push(pgbench(&server.url).await?);
        ours.push(commits_per_second(&env, &database, random_id).await?);
    }
    report(&mut limits, ("PostgreSQL, 32 callers", "pgbench"), (ours, peers), TO_PGBENCH)?;
    database.close().await;

    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let directory = tempfile::tempdir_in(".")?;
        peers.push(one_commit_each(directory.path(), &env)?);
        let directory = tempfile::tempdir_in(".")?;
        let database = open_sqlite(&env, directory.path()).await?;
        ours.push(commits_per_second(&env, &database, own_id).await?);
        database.close().await;
    }
    report(&mut limits, ("SQLite, 32 callers", "one commit each"), (ours, peers), TO_ONE_EACH)?;
    limits.kept()
}

fn report(
    limits: &mut Limits,
    (what, peer): (&str, &str),
    (ours, peers): (Vec<f64>, Vec<f64>),
    limit: Limit,
) -> Result<()> {
    let ratios = ours.iter().zip(&peers).map(|(ours, peer)| ours / peer).collect();
    let (ours, peers, ratio) = (median(ours), median(peers), median(ratios));
    let told = format!("{what}: {ours:.0} transactions/s; {peer}: {peers:.0}; ratio {ratio:.2}");
    Ok(limits.say(&told, ratio, limit)?)
}

fn two_rows(id: Uuid) -> Batch {
    let mut batch = Batch::new();
    batch.key(id);
    batch.run(ONE, params![id, 7_i64]).run(TWO, params![id, "a line of text as an order has"]);
    batch
}

/// Of version 4, as pgbench's are.
fn random_id(env: &Env) -> Uuid {
    Builder::from_random_bytes(env.random.bytes()).into_uuid()
}

/// As services make them, in the order of time, which an index likes better.
fn own_id(env: &Env) -> Uuid {
    env.ids.uuid()
}

async fn commits_per_second(env: &Env, database: &Database, id: fn(&Env) -> Uuid) -> Result<f64> {
    let ids = env.clone();
    rate(env, std::slice::from_ref(database), CALLERS, Arc::new(move |_, _| two_rows(id(&ids)))).await
}

/// What a caller commits next, by its number and its turn.
pub(crate) type Next = Arc<dyn Fn(usize, usize) -> Batch + Send + Sync>;

/// Transactions per second of callers who each wait for their last one, spread over `databases`.
pub(crate) async fn rate(env: &Env, databases: &[Database], callers: usize, next: Next) -> Result<f64> {
    let began = Instant::now();
    let until = began + SPAN;
    let callers = (0..callers).map(|caller| {
        let (database, next) = (databases[caller % databases.len()].clone(), Arc::clone(&next));
        async move {
            let mut turn = 0;
            while Instant::now() < until {
                database.commit(next(caller, turn), soon()).await?;
                turn += 1;
            }
            Ok(turn)
        }
    });
    let counts = all_at_once(env, callers).await?;
    Ok(counts.iter().sum::<usize>() as f64 / began.elapsed().as_secs_f64())
}

pub(crate) fn soon() -> Deadline {
    Deadline::within(PATIENCE)
}

async fn pgbench(url: &str) -> Result<f64> {
    let script = tempfile::NamedTempFile::new()?;
    fs::write(script.path(), PGBENCH)?;
    let output = Command::new(variable("FLOTILLA_BENCH_PGBENCH")?)
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2", "--client=32"])
        .arg(format!("--time={}", SPAN.as_secs()))
        .arg("--file")
        .arg(script.path())
        .arg(url)
        .output()
        .await?;
    ensure!(output.status.success(), "pgbench: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("tps = ")).context("pgbench told no rate")?;
    let rate = line.split_whitespace().next().context("pgbench told no rate")?;
    Ok(rate.parse()?)
}

/// What a program gets that commits each transaction by itself, with the same durability.
fn one_commit_each(directory: &Path, env: &Env) -> Result<f64> {
    let sqlite = rusqlite::Connection::open(directory.join("each.db"))?;
    sqlite.pragma_update(None, "journal_mode", "WAL")?;
    sqlite.pragma_update(None, "synchronous", "FULL")?;
    sqlite.execute_batch(SCHEMA[0].sqlite)?;
    let began = Instant::now();
    let mut commits = 0_u32;
    while began.elapsed() < SPAN {
        let id = own_id(env).into_bytes();
        sqlite.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        sqlite.prepare_cached("INSERT INTO one (id, amount) VALUES (?1, ?2)")?.execute((id, 7))?;
        sqlite
            .prepare_cached("INSERT INTO two (id, text) VALUES (?1, ?2)")?
            .execute((id, "a line of text as an order has"))?;
        sqlite.prepare_cached("COMMIT")?.execute([])?;
        commits += 1;
    }
    Ok(f64::from(commits) / began.elapsed().as_secs_f64())
}
