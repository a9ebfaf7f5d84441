//! Whether the time that a login takes tells somebody who guesses passwords which accounts there are.

use anyhow::{Result, ensure};
use hyper::StatusCode;
use runtime::Random;
use tokio::time::Instant;

use crate::figures::{Limit, Limits, median};
use crate::house::House;
use crate::visitor::{ADA, Visitor};

/// Of each kind.
const GUESSES: usize = 1_000;
/// Every guess is to be answered, instead of the first few.
const NO_LIMIT: &str = "100000";
/// Chance alone brings 999 of 1,000 such figures nearer to a half: 3.3 standard deviations of the statistic of Mann and
/// Whitney for two samples of this size that do not differ.
const BY_CHANCE: f64 = 0.043;

/// Guesses at accounts that there are and at some that there are not, by turns at random, over one connection to the
/// gateway: what gives least noise to whoever measures.
pub(crate) async fn run() -> Result<()> {
    let house = House::build().await?;
    let settings = [("FAILED_LOGINS_PER_ACCOUNT", NO_LIMIT), ("FAILED_LOGINS_PER_ADDRESS", NO_LIMIT)];
    let (platform, _) = house.up(settings).await?;
    let mut visitor = platform.visitor(&house.env).await?;
    visitor.register().await?;
    let (known, unknown) = guess(&mut visitor, &house.env.random).await?;
    platform.process.end().await?;

    let ahead = share_of_longer(&known, &unknown);
    let mut limits = Limits::default();
    let told = format!(
        "{GUESSES} guesses each: {:.3} ms for an account that there is, {:.3} for none; one of the former takes longer \
         than one of the latter in a share of {ahead:.3}, apart from a half by {:.3}",
        median(known),
        median(unknown),
        (ahead - 0.5).abs()
    );
    limits.say(&told, (ahead - 0.5).abs(), Limit::AtMost(BY_CHANCE))?;
    limits.kept()
}

/// How many milliseconds each guess takes, at Ada's account and at nobody's.
async fn guess(visitor: &mut Visitor, random: &Random) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    while known.len() < GUESSES || unknown.len() < GUESSES {
        let is_known = unknown.len() == GUESSES || known.len() < GUESSES && random.below(2) == 0;
        let (email, times) = if is_known { (ADA, &mut known) } else { ("eda@example.com", &mut unknown) };
        // Another one each time: what Argon2 reads from memory depends on it, and some orders are quicker than others.
        let password = format!("{:016x}", random.below(u64::MAX));
        let began = Instant::now();
        let status = visitor.guess(email, &password).await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        ensure!(status == StatusCode::UNAUTHORIZED, "a guess was answered {status}");
    }
    Ok((known, unknown))
}

/// In what share of all pairs the one of `some` is longer than the one of `others`.
fn share_of_longer(some: &[f64], others: &[f64]) -> f64 {
    let longer = |time: &f64| others.iter().filter(|other| time > other).count();
    let pairs = some.len() * others.len();
    some.iter().map(longer).sum::<usize>() as f64 / pairs as f64
}
