//! What each of the mechanisms costs a call that nothing is wrong with.

use std::future::ready;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::Result;
use resilience::{
    BreakerConfig, CircuitBreaker, KeyedLimiter, LoadLimit, LoadLimitConfig, Outcome, Priority, Quota,
    RetryBudget, RetryBudgetConfig, Verdict,
};
use runtime::{Deadline, Random};
use tokio::time::Instant;

use crate::figures::{Limit, Limits, say};
use crate::outbound;

/// The best of so many rounds counts: what disturbs a machine only ever adds.
const ROUNDS: u32 = 500;
/// In a round: less than a millisecond, so that some rounds are not disturbed at all.
const CALLS: u32 = 5_000;
/// What the design wants.
const BREAKER: f64 = 100.0;
const KEYED_LIMIT: f64 = 54.0;
const PICK: f64 = 150.0;
const STACK: f64 = 3_000.0;
/// Addresses that are seen by turns.
const KEYS: usize = 1_000;
const LONG: Duration = Duration::from_secs(10);

/// All in this one thread, in nanoseconds.
pub(crate) async fn run() -> Result<()> {
    let mut limits = Limits::default();
    let told = |name: &str, nanos: f64| format!("{name}: {nanos:.1} ns");
    let nanos = breaker_and_deadline().await;
    limits.say(&told("breaker and deadline around a ready call", nanos), nanos, Limit::AtMost(BREAKER))?;
    let nanos = keyed_limit();
    limits.say(&told("keyed limit, of a thousand keys", nanos), nanos, Limit::AtMost(KEYED_LIMIT))?;
    let nanos = outbound::pick()?;
    limits.say(&told("pick among 100 instances", nanos), nanos, Limit::AtMost(PICK))?;
    let (nanos, bare) = outbound::stack().await?;
    let stack = format!("the whole way to another service, beside {:.1} us for the call", bare / 1e3);
    limits.say(&told(&stack, nanos), nanos, Limit::AtMost(STACK))?;
    say(&told("retry budget, a first attempt", first_attempt()))?;
    say(&told("retry budget, asked for a retry", retry()))?;
    say(&told("load limit, enter and finish", load_limit()))?;
    limits.kept()
}

async fn breaker_and_deadline() -> f64 {
    let breaker = CircuitBreaker::new(BreakerConfig::default());
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for call in 0..CALLS {
            let called = breaker.call(ready(call), |_| Verdict::Success);
            black_box(Deadline::within(LONG).bound(called).await.is_ok());
        }
        best = best.min(per_call(began));
    }
    best
}

fn keyed_limit() -> f64 {
    // Nobody is refused.
    let quota = Quota::new(NonZeroU32::MAX, Duration::from_nanos(1));
    let limiter = KeyedLimiter::new(quota, KEYS * 2, &Random::seeded(1));
    let keys: Vec<_> = (0..KEYS as u32).map(|key| IpAddr::V4(Ipv4Addr::from_bits(key))).collect();
    best(|call| limiter.check(&keys[call as usize % KEYS]).is_ok())
}

fn first_attempt() -> f64 {
    let budget = RetryBudget::new(RetryBudgetConfig::default());
    best(|_| budget.request())
}

fn retry() -> f64 {
    let budget = RetryBudget::new(RetryBudgetConfig::default());
    best(|_| budget.try_retry())
}

fn load_limit() -> f64 {
    let limit = LoadLimit::new(LoadLimitConfig::default());
    best(|_| limit.try_enter(Priority::Users).map(|admitted| admitted.finish(Outcome::Worked)))
}

fn best<T>(mut call: impl FnMut(u32) -> T) -> f64 {
    let round = |_| {
        let began = Instant::now();
        for number in 0..CALLS {
            black_box(call(number));
        }
        per_call(began)
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

fn per_call(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}
