use std::collections::BTreeMap;
use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn quota(burst: u32, interval: Duration) -> Quota {
    Quota::new(NonZeroU32::new(burst).unwrap(), interval)
}

fn limiter(quota: Quota, most_keys: usize) -> KeyedLimiter<u32> {
    KeyedLimiter::new(quota, most_keys, &Random::seeded(1))
}

fn after(wait: Duration) -> Result<(), RetryAfter> {
    Err(RetryAfter(wait))
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_allowed_and_then_one_in_each_interval() {
    let limiter = limiter(quota(3, SECOND), 100);
    for _ in 0..3 {
        assert_eq!(limiter.check(&7), Ok(()));
    }
    assert_eq!(limiter.check(&7), after(SECOND));
    assert_eq!(limiter.check(&8), Ok(()), "another key has its own");

    tokio::time::advance(SECOND / 4).await;
    assert_eq!(limiter.check(&7), after(SECOND * 3 / 4), "being refused costs nothing");
    tokio::time::advance(SECOND * 3 / 4).await;
    assert_eq!(limiter.check(&7), Ok(()));
    assert_eq!(limiter.check(&7), after(SECOND));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_used_for_long_is_a_burst_again_and_no_more() {
    let limiter = limiter(quota(3, SECOND), 100);
    for _ in 0..3 {
        assert_eq!(limiter.check(&7), Ok(()));
    }
    tokio::time::advance(SECOND * 1_000).await;
    let allowed = (0..10).filter(|_| limiter.check(&7).is_ok()).count();
    assert_eq!(allowed, 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_was_never_owed() {
    let limiter = limiter(quota(2, SECOND), 100);
    for _ in 0..10 {
        assert_eq!(limiter.check(&7), Ok(()));
        limiter.give_back(&7);
    }
    assert_eq!([limiter.check(&7), limiter.check(&7), limiter.check(&7)], [Ok(()), Ok(()), after(SECOND)]);
    limiter.give_back(&8);
    assert_eq!(limiter.keys(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_owes_nothing_makes_room() {
    let limiter = limiter(quota(1, SECOND), 1);
    for key in 0..10_000 {
        assert_eq!(limiter.check(&key), Ok(()));
        tokio::time::advance(SECOND).await;
    }
    assert_eq!(limiter.keys(), 1);
}

#[tokio::test(start_paused = true)]
async fn made_up_keys_are_forgotten_before_one_that_owes_much() {
    let limiter = limiter(quota(5, SECOND), 1_000);
    for _ in 0..5 {
        assert_eq!(limiter.check(&7), Ok(()));
    }
    for key in 1_000..1_000_000 {
        assert_eq!(limiter.check(&key), Ok(()), "nobody is refused for the sake of others");
    }
    assert_eq!(limiter.check(&7), after(SECOND));
    assert_eq!(limiter.keys(), 1_024, "the sets are a power of two");
}

#[tokio::test(start_paused = true)]
async fn half_of_the_keys_that_may_be_kept_are_kept() {
    let limiter = limiter(quota(1, SECOND), 64 * 1_024);
    for key in 0..32 * 1_024 {
        assert_eq!(limiter.check(&key), Ok(()));
    }
    let forgotten = (0..32 * 1_024).filter(|key| limiter.check(key).is_ok()).count();
    assert!(forgotten < 100, "{forgotten}");
}

#[test]
fn a_wait_is_told_in_whole_seconds_and_never_too_short() {
    let millis = [(0, 0), (1, 1), (1_000, 1), (1_001, 2)];
    for (millis, seconds) in millis {
        assert_eq!(RetryAfter(Duration::from_millis(millis)).seconds(), seconds);
    }
    let rate = NonZeroU32::new(50).unwrap();
    assert_eq!(Quota::per_second(rate, rate).interval(), 20_000_000);
}

/// The plain form: a bucket for each key, which leaks one drop in each interval and has room for a burst.
#[derive(Debug, Default)]
struct Buckets(BTreeMap<u32, (u128, u128)>);

impl Buckets {
    fn level(&self, key: u32, now: u128) -> u128 {
        let (level, at) = self.0.get(&key).copied().unwrap_or_default();
        level.saturating_sub(now - at)
    }

    fn pour(&mut self, key: u32, now: u128, drop: u128, room: u128) -> bool {
        let level = self.level(key, now) + drop;
        if level <= room {
            self.0.insert(key, (level, now));
        }
        level <= room
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Check(u32),
    GiveBack(u32),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..4_u32).prop_map(Act::Check),
        1 => (0..4_u32).prop_map(Act::GiveBack),
        3 => (0..3_000_u64).prop_map(Act::Wait),
    ]
}

proptest! {
    #[test]
    fn it_allows_what_a_leaky_bucket_for_each_key_does(
        burst in 1..5_u32,
        interval in 1..2_000_u64,
        acts in prop::collection::vec(act(), 1..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let limiter = limiter(quota(burst, Duration::from_millis(interval)), 1_000);
            let (drop, room) = (u128::from(interval), u128::from(interval) * u128::from(burst));
            let (mut buckets, mut now) = (Buckets::default(), 0);
            for act in acts {
                match act {
                    Act::Check(key) => {
                        let level = buckets.level(key, now);
                        let poured = buckets.pour(key, now, drop, room);
                        let wait = (level + drop).saturating_sub(room);
                        let checked = limiter.check(&key).err().map_or(0, |RetryAfter(wait)| wait.as_millis());
                        prop_assert_eq!((checked == 0, checked), (poured, wait));
                    }
                    Act::GiveBack(key) => {
                        let level = buckets.level(key, now);
                        buckets.0.insert(key, (level.saturating_sub(drop), now));
                        limiter.give_back(&key);
                    }
                    Act::Wait(millis) => {
                        now += u128::from(millis);
                        tokio::time::advance(Duration::from_millis(millis)).await;
                    }
                }
            }
            Ok(())
        })?;
    }
}
