//! `flotilla up` on a directory that exists: from exec to the first answer through the gateway, and how much memory it
//! takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use futures_util::future::try_join_all;
use hyper::StatusCode;
use runtime::Env;
use tokio::time::{Instant, sleep};

use crate::figures::{Limit, Limits, median};
use crate::house::{House, Up};
use crate::load::all_at_once;

const STARTS: usize = 15;
/// Well after the last thing that happens by itself after a start or a request.
const SETTLED: Duration = Duration::from_secs(3);
/// How exactly the moment is met at which it answers.
const ASKING: Duration = Duration::from_millis(1);
/// A person who starts it does not wait for it.
const ANSWERS_MS: Limit = Limit::AtMost(120.0);
/// Little beside anything else on a laptop.
const IDLE_MB: Limit = Limit::AtMost(60.0);
/// The buffers of passwords that are being checked are given back.
const USED_MB: Limit = Limit::AtMost(80.0);

const LOGINS: usize = 1_000;
/// As many as two processors compute. Of more, some would be told to come back.
const LOGINS_AT_ONCE: usize = 2;

pub(crate) async fn run() -> Result<()> {
    let house = House::build().await?;
    // It makes the directory and what is in it.
    let (first, _) = house.up([]).await?;
    let mut visitor = first.visitor(&house.env).await?;
    visitor.register().await?;
    // It is good for longer than all of this takes.
    let bearer = format!("Bearer {}", visitor.log_in().await?);
    first.process.end().await?;

    let mut times = Vec::new();
    for _ in 0..STARTS {
        let (platform, began) = house.up([]).await?;
        while platform.visitor(&house.env).await?.me(&bearer).await? != StatusCode::OK {
            sleep(ASKING).await;
        }
        times.push(began.elapsed().as_secs_f64() * 1e3);
        platform.process.end().await?;
    }
    let slowest = times.iter().copied().fold(0.0, f64::max);
    let middle = median(times);
    let mut limits = Limits::default();
    let told = format!(
        "flotilla up, exec to the first 200 of /users/me: at worst {slowest:.1} ms, mostly {middle:.1}"
    );
    limits.say(&told, middle, ANSWERS_MS)?;

    let (platform, _) = house.up([]).await?;
    sleep(SETTLED).await;
    let idle = platform.process.resident_mb()?;
    limits.say(&format!("idle: {idle:.1} MB resident"), idle, IDLE_MB)?;
    let began = Instant::now();
    log_in(&platform, &house.env).await?;
    let (took, at_the_last) = (began.elapsed(), platform.process.resident_mb()?);
    sleep(SETTLED).await;
    let settled = platform.process.resident_mb()?;
    let told = format!(
        "after {LOGINS} logins in {took:.1?}: {at_the_last:.1} MB resident at the moment of the last one, and then \
         {settled:.1}"
    );
    limits.say(&told, settled, USED_MB)?;
    platform.process.end().await?;
    limits.kept()
}

/// Logs in again and again, over several connections.
async fn log_in(platform: &Up, env: &Env) -> Result<()> {
    let begun = Arc::new(AtomicUsize::new(0));
    let visitors = try_join_all((0..LOGINS_AT_ONCE).map(|_| platform.visitor(env))).await?;
    let callers = visitors.into_iter().map(|mut visitor| {
        let begun = Arc::clone(&begun);
        async move {
            while begun.fetch_add(1, Ordering::Relaxed) < LOGINS {
                visitor.log_in().await?;
            }
            Ok(())
        }
    });
    all_at_once(env, callers).await.map(drop)
}
