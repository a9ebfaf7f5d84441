use std::sync::Arc;

use anyhow::Result;
use database::{Batch, Database, Sql, params};
use runtime::Env;
use uuid::Uuid;

use crate::database::{Next, ONE, rate, soon};
use crate::figures::{Limit, Limits, median, say};
use crate::server::Server;

/// Rows that everybody wants.
const HOT: usize = 20;
const CALLERS: usize = 64;
const ROUNDS: usize = 3;

/// What waiting for each other may cost.
const TO_FREE: Limit = Limit::AtLeast(0.5);

const ADD: Sql = Sql::new("UPDATE one SET amount = amount + $1 WHERE id = $2");

/// Two rows in each batch: of twenty that 64 callers share, beside two of each caller's own.
pub(crate) async fn run() -> Result<()> {
    let env = Env::system(1);
    let server = Server::fresh(&env).await?;
    let (one, other) = (server.open(&env).await?, server.open(&env).await?);
    let hot = rows(&env, &one, HOT).await?;
    let own = rows(&env, &one, 2 * CALLERS).await?;
    let apart: Next = Arc::new(move |caller, _| add(own[2 * caller], own[2 * caller + 1]));
    let together: Next = Arc::new(move |caller, turn| {
        let pick = |step: usize| hot[(caller * step + turn * 3) % HOT];
        add(pick(7), pick(11))
    });
    let both = [one, other];
    let (mut free, mut on_one, mut on_two) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        free.push(rate(&env, &both[..1], CALLERS, Arc::clone(&apart)).await?);
        on_one.push(rate(&env, &both[..1], CALLERS, Arc::clone(&together)).await?);
        on_two.push(rate(&env, &both, CALLERS, Arc::clone(&together)).await?);
    }
    let (free, on_one, on_two) = (median(free), median(on_one), median(on_two));
    say(&format!(
        "{HOT} hot rows, {CALLERS} callers: {on_one:.0} transactions/s on one connection, {on_two:.0} over two \
         processes' worth (ratio {:.2}); without contention {free:.0} on one",
        on_two / free
    ))?;
    let ratio = on_one / free;
    let mut limits = Limits::default();
    limits.say(
        &format!("With contention to without, on one connection: ratio {ratio:.2}"),
        ratio,
        TO_FREE,
    )?;
    limits.kept()
}

async fn rows(env: &Env, database: &Database, count: usize) -> Result<Vec<Uuid>> {
    let ids: Vec<Uuid> = (0..count).map(|_| env.ids.uuid()).collect();
    let mut batch = Batch::new();
    for id in &ids {
        batch.run(ONE, params![*id, 0_i64]);
    }
    database.commit(batch, soon()).await?;
    Ok(ids)
}

fn add(one: Uuid, other: Uuid) -> Batch {
    let mut batch = Batch::new();
    for id in [one, other] {
        batch.key(id).expect(1, ADD, params![1_i64, id]);
    }
    batch
}
