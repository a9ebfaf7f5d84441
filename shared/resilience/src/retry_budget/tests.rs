use proptest::prelude::*;
use tokio::time::advance;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn allowed(budget: &RetryBudget, asked: u32) -> usize {
    (0..asked).filter(|_| budget.try_retry()).count()
}

fn request(budget: &RetryBudget, requests: u32) {
    (0..requests).for_each(|_| budget.request());
}

#[tokio::test(start_paused = true)]
async fn without_traffic_the_reserve_is_all() {
    let budget = RetryBudget::new(RetryBudgetConfig::default());
    assert_eq!(allowed(&budget, 100), 10);
    request(&budget, 9);
    assert_eq!(allowed(&budget, 100), 0);
    request(&budget, 1);
    assert_eq!(allowed(&budget, 100), 1);
}

#[tokio::test(start_paused = true)]
async fn a_tenth_of_the_traffic_of_a_window_is_there_at_once_when_something_fails() {
    let budget = RetryBudget::new(RetryBudgetConfig::default());
    for _ in 0..100 {
        request(&budget, 10);
        advance(SECOND / 10).await;
    }
    assert_eq!(allowed(&budget, 1_000), 100, "of the nine seconds before, and the reserve");
    advance(SECOND * 10).await;
    assert_eq!(allowed(&budget, 1_000), 0, "retries are remembered for longer than a window");
    advance(SECOND).await;
    assert_eq!(allowed(&budget, 1_000), 10, "what was not used is not saved up");
}

#[tokio::test(start_paused = true)]
async fn the_reserve_comes_back_once_in_a_window() {
    let budget = RetryBudget::new(RetryBudgetConfig::default());
    advance(SECOND / 2).await;
    let mut allowed_in_all = 0;
    for _ in 0..200 {
        allowed_in_all += allowed(&budget, 100);
        advance(SECOND / 20).await;
    }
    assert_eq!(allowed_in_all, 10);
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Request(u32),
    Retry(u32),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (1..50_u32).prop_map(Act::Request),
        2 => (1..20_u32).prop_map(Act::Retry),
        3 => (0..400_u64).prop_map(Act::Wait),
    ]
}

/// When something happened, in milliseconds, of which the latest are counted.
fn since(times: &[u64], earliest: u64) -> u64 {
    times.iter().filter(|at| **at >= earliest).count() as u64
}

proptest! {
    #[test]
    fn every_window_that_ends_with_a_retry_keeps_to_the_share_and_the_reserve(
        share in 1..=100_u8,
        reserve in 0..5_u32,
        acts in prop::collection::vec(act(), 1..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let config = RetryBudgetConfig { share: Percent::new(share), reserve, window: SECOND };
            let budget = RetryBudget::new(config);
            let (mut first, mut retries, mut now) = (Vec::new(), Vec::new(), 1_000_000_u64);
            for act in acts {
                match act {
                    Act::Request(requests) => {
                        request(&budget, requests);
                        first.extend((0..requests).map(|_| now));
                    }
                    Act::Retry(asked) => for _ in 0..asked {
                        // A tenth of the window is as finely as it is counted, to the retries' disadvantage.
                        let (whole, counted) = (now - 999, now / 100 * 100 - 900);
                        let pays = |first_attempts| first_attempts * u64::from(share) / 100 + u64::from(reserve);
                        let is_allowed = budget.try_retry();
                        prop_assert_eq!(is_allowed, since(&retries, counted - 100) < pays(since(&first, counted)));
                        if is_allowed {
                            retries.push(now);
                            prop_assert!(since(&retries, whole) <= pays(since(&first, whole)));
                        }
                    },
                    Act::Wait(millis) => {
                        now += millis;
                        advance(Duration::from_millis(millis)).await;
                    }
                }
            }
            Ok(())
        })?;
    }
}
