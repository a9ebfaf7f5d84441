use std::time::Duration;

use anyhow::Result;
use database::{Batch, Database, Sql, params};
use futures_util::future::join_all;
use runtime::{Deadline, Env};
use tokio::time::Instant;
use uuid::Uuid;

use crate::database::{ONE, two_rows};
use crate::figures::{p99, say};
use crate::server::{Server, open_sqlite};

/// As many as a group holds.
const FULL: usize = 64;
const PATIENCE: Duration = Duration::from_secs(30);
const ADD: Sql = Sql::new("UPDATE one SET amount = amount + $1 WHERE id = $2");

/// Why one batch of each group fails.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Constraint,
    Count,
    Type,
}

pub(crate) async fn run() -> Result<()> {
    let env = Env::system(1);
    let postgres = Server::fresh(&env).await?.open(&env).await?;
    measure("PostgreSQL", &env, &postgres).await?;
    let directory = tempfile::tempdir_in(".")?;
    let sqlite = open_sqlite(&env, directory.path()).await?;
    measure("SQLite", &env, &sqlite).await
}

async fn measure(name: &str, env: &Env, database: &Database) -> Result<()> {
    // Statements are prepared and files have grown before the clock matters.
    rounds(env, database, None).await;
    for fault in [Fault::Constraint, Fault::Count, Fault::Type] {
        let (mut undisturbed, mut neighbours) = (Vec::new(), Vec::new());
        // In turn, so that a slow moment of the machine hits both.
        for _ in 0..3 {
            undisturbed.extend(rounds(env, database, None).await);
            neighbours.extend(rounds(env, database, Some(fault)).await);
        }
        let (undisturbed, neighbours) = (p99(undisturbed), p99(neighbours));
        let ratio = neighbours.as_secs_f64() / undisturbed.as_secs_f64();
        say(&format!(
            "{name}, {fault:?} fails in each group of {FULL}: neighbours' p99 {neighbours:.2?}; \
             undisturbed {undisturbed:.2?}; ratio {ratio:.2}"
        ))?;
    }
    Ok(())
}

/// One group for each place that a failing batch can have; how long each of the others took.
async fn rounds(env: &Env, database: &Database, fault: Option<Fault>) -> Vec<Duration> {
    let mut times = Vec::with_capacity(FULL * FULL);
    for place in 0..FULL {
        let batches = (0..FULL).map(|at| match fault {
            Some(fault) if at == place => failing(env, fault),
            _ => two_rows(env),
        });
        let timed = batches.map(|batch| async {
            let began = Instant::now();
            let outcome = database.commit(batch, Deadline::within(PATIENCE)).await;
            outcome.is_ok().then(|| began.elapsed())
        });
        times.extend(join_all(timed).await.into_iter().flatten());
    }
    times
}

fn failing(env: &Env, fault: Fault) -> Batch {
    let mut batch = two_rows(env);
    match fault {
        Fault::Constraint => batch.run(ONE, params![env.ids.uuid(), -1_i64]),
        Fault::Count => batch.expect(1, ADD, params![1_i64, Uuid::max()]),
        Fault::Type => batch.run(ONE, params![env.ids.uuid(), "much"]),
    };
    batch
}
