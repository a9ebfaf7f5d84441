use std::time::Duration;

use anyhow::{Result, ensure};
use database::{Batch, Database, Sql, params};
use futures_util::future::join_all;
use runtime::{Deadline, Env};
use tokio::time::Instant;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::database::{ONE, TWO};
use crate::figures::{Limit, Limits, p99};
use crate::server::{Server, open_sqlite};

/// As many as a group holds.
const FULL: usize = 64;
const PATIENCE: Duration = Duration::from_secs(30);
/// Enough groups that the slowest hundredth of their batches is not one bad moment.
const TURNS: usize = 12;
/// As much text as an event of an order has. It also sees to it that SQLite folds its log back into the file in
/// clearly more than a hundredth of the groups: with less, a p99 would meet that or not by chance.
const LINES: usize = 20;
/// What neighbours may wait, beside groups in which nothing fails.
const TO_UNDISTURBED: Limit = Limit::AtMost(2.0);

const ADD: Sql = Sql::new("UPDATE one SET amount = amount + $1 WHERE id = $2");
/// Text for a whole number.
const MUCH: Sql = Sql::per_dialect(
    "INSERT INTO one (id, amount) VALUES ($1, CAST($2 || '' AS BIGINT))",
    "INSERT INTO one (id, amount) VALUES ($1, $2)",
);

/// Why one batch of each group fails, or comes late.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Constraint,
    Count,
    /// Seen before anything is sent.
    Type,
    /// Seen when the statement runs.
    Value,
    /// With the rival.
    Deadlock,
}

/// Somebody else at the same server, who holds one row and comes for the other.
struct Rival {
    client: Client,
    held: Uuid,
    wanted: Uuid,
}

impl Rival {
    async fn connect(server: &Server, env: &Env, database: &Database) -> Result<Self> {
        let (client, connection) = tokio_postgres::connect(&server.url, NoTls).await?;
        env.tasks.spawn("rival", async move { drop(connection.await) });
        let (held, wanted) = (env.ids.uuid(), env.ids.uuid());
        let mut batch = Batch::new();
        batch.run(ONE, params![held, 0_i64]).run(ONE, params![wanted, 0_i64]);
        database.commit(batch, Deadline::within(PATIENCE)).await?;
        Ok(Self { client, held, wanted })
    }

    async fn hold(&self) -> Result<()> {
        let hold = format!("BEGIN; UPDATE one SET amount = amount + 1 WHERE id = '{}'", self.held);
        Ok(self.client.batch_execute(&hold).await?)
    }

    async fn cross(&self) -> Result<()> {
        let cross = format!("UPDATE one SET amount = amount + 1 WHERE id = '{}'; COMMIT", self.wanted);
        Ok(self.client.batch_execute(&cross).await?)
    }
}

pub(crate) async fn run() -> Result<()> {
    let env = Env::system(1);
    let server = Server::fresh(&env).await?;
    let postgres = server.open(&env).await?;
    let rival = Rival::connect(&server, &env, &postgres).await?;
    let mut limits = Limits::default();
    measure(&mut limits, "PostgreSQL", &env, &postgres, Some(&rival)).await?;
    let directory = tempfile::tempdir_in(".")?;
    let sqlite = open_sqlite(&env, directory.path()).await?;
    measure(&mut limits, "SQLite", &env, &sqlite, None).await?;
    limits.kept()
}

async fn measure(
    limits: &mut Limits,
    name: &str,
    env: &Env,
    database: &Database,
    rival: Option<&Rival>,
) -> Result<()> {
    let faults = [Fault::Constraint, Fault::Count, Fault::Type, Fault::Value, Fault::Deadlock];
    for fault in faults.into_iter().filter(|fault| rival.is_some() || !matches!(fault, Fault::Deadlock)) {
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        for turn in 0..TURNS {
            for place in 0..FULL {
                // In turn, so that a slow moment of the machine hits both; in either order, since what SQLite
                // does once in so many groups would else always meet the same side.
                let is_first = env.random.below(2) == 0;
                for is_undisturbed in [is_first, !is_first] {
                    let (side, took) = match (is_undisturbed, fault, rival) {
                        (true, ..) => (&mut alone, group(env, database, None).await?),
                        (false, Fault::Deadlock, Some(rival)) => {
                            (&mut beside, deadlock(env, database, rival, place).await?)
                        }
                        (false, ..) => (&mut beside, failure(env, database, fault, place).await?),
                    };
                    // In the first turn statements are prepared and files grow.
                    if turn > 0 {
                        side.extend(took);
                    }
                }
            }
        }
        let (alone, beside) = (p99(alone).as_secs_f64(), p99(beside).as_secs_f64());
        let told = format!(
            "{name}, {fault:?} in each group of {FULL}: neighbours' p99 {:.2} ms; undisturbed {:.2} ms; ratio {:.2}",
            beside * 1e3,
            alone * 1e3,
            beside / alone
        );
        limits.say(&told, beside / alone, TO_UNDISTURBED)?;
    }
    Ok(())
}

/// One group in which the batch at `place` fails; how long each of the others took.
async fn failure(env: &Env, database: &Database, fault: Fault, place: usize) -> Result<Vec<Duration>> {
    let fails = database.commit(failing(env, fault, place), Deadline::within(PATIENCE));
    let (neighbours, failed) = tokio::join!(group(env, database, Some(place)), fails);
    ensure!(failed.is_err(), "{fault:?} went well");
    neighbours
}

/// One group in which the batch at `place` wants what the rival holds, and holds what the rival then comes for.
async fn deadlock(env: &Env, database: &Database, rival: &Rival, place: usize) -> Result<Vec<Duration>> {
    rival.hold().await?;
    let mut batch = Batch::new();
    batch.key(key(place));
    batch.expect(1, ADD, params![1_i64, rival.wanted]).expect(1, ADD, params![1_i64, rival.held]);
    let late = database.commit(batch, Deadline::within(PATIENCE));
    let neighbours = async {
        let neighbours = group(env, database, Some(place)).await;
        rival.cross().await?;
        neighbours
    };
    let (neighbours, late) = tokio::join!(neighbours, late);
    late?;
    neighbours
}

/// How long each batch of a group takes, of which the one at `gap` is somebody else's.
async fn group(env: &Env, database: &Database, gap: Option<usize>) -> Result<Vec<Duration>> {
    let timed = (0..FULL).filter(|at| Some(*at) != gap).map(|at| async move {
        let began = Instant::now();
        database.commit(two_rows(env, at), Deadline::within(PATIENCE)).await?;
        anyhow::Ok(began.elapsed())
    });
    join_all(timed).await.into_iter().collect()
}

/// Groups run in the order of their keys.
fn key(place: usize) -> String {
    format!("{place:02}")
}

fn two_rows(env: &Env, place: usize) -> Batch {
    let id = env.ids.uuid();
    let mut batch = Batch::new();
    batch.key(key(place)).run(ONE, params![id, 7_i64]);
    batch.run(TWO, params![id, "a line of text as an order has".repeat(LINES)]);
    batch
}

fn failing(env: &Env, fault: Fault, place: usize) -> Batch {
    let mut batch = two_rows(env, place);
    match fault {
        Fault::Constraint => batch.run(ONE, params![env.ids.uuid(), -1_i64]),
        Fault::Type => batch.run(ONE, params![env.ids.uuid(), "much"]),
        Fault::Value => batch.run(MUCH, params![env.ids.uuid(), "much"]),
        Fault::Count | Fault::Deadlock => batch.expect(1, ADD, params![1_i64, Uuid::max()]),
    };
    batch
}
