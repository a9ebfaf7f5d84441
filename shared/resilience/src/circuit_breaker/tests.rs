use tokio::time::advance;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const A_BIT: Duration = Duration::from_millis(1);

fn breaker() -> CircuitBreaker {
    CircuitBreaker::new(BreakerConfig::default())
}

/// Of one that opens at the first failure.
fn opened() -> CircuitBreaker {
    let failures_in_a_row = 1.try_into().unwrap();
    let breaker = CircuitBreaker::new(BreakerConfig { failures_in_a_row, ..BreakerConfig::default() });
    assert_eq!(call(&breaker, Verdict::Failure), Ok(Some(Change::Opened)));
    breaker
}

fn call(breaker: &CircuitBreaker, verdict: Verdict) -> Result<Option<Change>, Open> {
    breaker.try_enter().map(|permit| breaker.leave(permit, verdict))
}

fn kept_out(retry_after: Duration) -> Result<Option<Change>, Open> {
    Err(Open { retry_after })
}

#[tokio::test(start_paused = true)]
async fn it_opens_when_so_many_calls_in_a_row_have_failed() {
    let breaker = breaker();
    for verdict in [Verdict::Failure; 4].into_iter().chain([Verdict::Success]).chain([Verdict::Failure; 4]) {
        assert_eq!(call(&breaker, verdict), Ok(None));
    }
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(call(&breaker, Verdict::Failure), Ok(Some(Change::Opened)));
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(call(&breaker, Verdict::Success), kept_out(SECOND));
    assert!(!breaker.would_enter());
}

#[tokio::test(start_paused = true)]
async fn faults_that_were_answered_do_not_count_in_a_row() {
    let breaker = breaker();
    for _ in 0..19 {
        assert_eq!(call(&breaker, Verdict::Fault), Ok(None));
    }
    assert_eq!(call(&breaker, Verdict::Fault), Ok(Some(Change::Opened)), "they count in the rate");
}

#[tokio::test(start_paused = true)]
async fn it_opens_when_half_of_enough_calls_in_the_window_have_failed() {
    let breaker = breaker();
    for _ in 0..9 {
        assert_eq!(call(&breaker, Verdict::Failure), Ok(None));
        assert_eq!(call(&breaker, Verdict::Success), Ok(None));
    }
    assert_eq!(call(&breaker, Verdict::Failure), Ok(None), "19 calls are too few");
    assert_eq!(call(&breaker, Verdict::Fault), Ok(Some(Change::Opened)));
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_the_window_is_forgotten() {
    let breaker = breaker();
    for _ in 0..19 {
        assert_eq!(call(&breaker, Verdict::Fault), Ok(None));
    }
    advance(SECOND * 10).await;
    for _ in 0..19 {
        assert_eq!(call(&breaker, Verdict::Fault), Ok(None));
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn nothing_learnt_counts_nowhere() {
    let breaker = breaker();
    for _ in 0..100 {
        assert_eq!(call(&breaker, Verdict::Nothing), Ok(None));
    }
    for _ in 0..4 {
        assert_eq!(call(&breaker, Verdict::Failure), Ok(None));
        assert_eq!(call(&breaker, Verdict::Nothing), Ok(None));
    }
    assert_eq!(call(&breaker, Verdict::Failure), Ok(Some(Change::Opened)));
}

#[tokio::test(start_paused = true)]
async fn half_open_lets_one_call_in_at_a_time() {
    let breaker = opened();
    advance(SECOND - A_BIT).await;
    assert_eq!(call(&breaker, Verdict::Success), kept_out(A_BIT));
    advance(A_BIT).await;
    assert_eq!((breaker.state(), breaker.would_enter()), (State::HalfOpen, true));

    let trial = breaker.try_enter().unwrap();
    assert_eq!((trial.is_trial(), trial.change()), (true, Some(Change::HalfOpened)));
    assert_eq!((breaker.state(), breaker.would_enter()), (State::HalfOpen, false));
    advance(SECOND * 100).await;
    assert_eq!(call(&breaker, Verdict::Success), kept_out(SECOND), "however long the trial takes");
    assert_eq!(breaker.leave(trial, Verdict::Success), Some(Change::Closed));
    assert_eq!((breaker.state(), breaker.would_enter()), (State::Closed, true));
    assert_eq!(call(&breaker, Verdict::Success), Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_does_not_succeed_opens_it_for_one_more_pause() {
    for verdict in [Verdict::Failure, Verdict::Fault, Verdict::Nothing] {
        let breaker = opened();
        for _ in 0..3 {
            advance(SECOND).await;
            assert_eq!(call(&breaker, verdict), Ok(Some(Change::Opened)));
            assert_eq!(call(&breaker, verdict), kept_out(SECOND), "the pause does not grow");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_is_lost_makes_room_for_another_after_a_pause() {
    let breaker = opened();
    advance(SECOND).await;
    drop(breaker.try_enter().unwrap());
    assert_eq!(breaker.state(), State::Open);
    advance(SECOND - A_BIT).await;
    assert_eq!(call(&breaker, Verdict::Success), kept_out(A_BIT));
    advance(A_BIT).await;
    let trial = breaker.try_enter().unwrap();
    assert!(trial.is_trial());
    assert_eq!(breaker.leave(trial, Verdict::Success), Some(Change::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_late_result_changes_nothing_in_a_later_generation() {
    let breaker = breaker();
    let late: Vec<_> = (0..20).map(|_| breaker.try_enter().unwrap()).collect();
    for _ in 0..5 {
        call(&breaker, Verdict::Failure).unwrap();
    }
    let mut late = late.into_iter();
    let mut come_late = |verdict| breaker.leave(late.next().unwrap(), verdict);
    assert_eq!(come_late(Verdict::Success), None);
    assert_eq!(breaker.state(), State::Open);

    advance(SECOND).await;
    let trial = breaker.try_enter().unwrap();
    assert_eq!([Verdict::Success, Verdict::Failure, Verdict::Nothing].map(&mut come_late), [None; 3]);
    assert!(!breaker.would_enter(), "the trial is still under way");
    assert_eq!(breaker.leave(trial, Verdict::Success), Some(Change::Closed));

    assert_eq!([Verdict::Failure; 10].map(come_late), [None; 10]);
    assert_eq!(breaker.state(), State::Closed);
    for _ in 0..4 {
        assert_eq!(call(&breaker, Verdict::Failure), Ok(None), "they were not counted either");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_not_be_sent_takes_the_fallback() {
    let breaker = opened();
    let judge = |_: &u32| Verdict::Success;
    assert_eq!(breaker.call(async { 7 }, judge).await.unwrap_or(1), 1);
    advance(SECOND).await;
    assert_eq!(breaker.call(async { 7 }, judge).await, Ok(7));
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_trial_whose_caller_leaves_makes_room_for_another_after_a_pause() {
    let breaker = opened();
    advance(SECOND).await;
    let trial = breaker.call(std::future::pending::<()>(), |()| Verdict::Success);
    assert!(tokio::time::timeout(A_BIT, trial).await.is_err());
    assert!(!breaker.would_enter());
    advance(SECOND).await;
    assert!(breaker.would_enter());
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_when_the_next_trial_is_due_takes_none() {
    assert_eq!(breaker().open(), None);
    let breaker = opened();
    assert_eq!(breaker.open(), Some(Open { retry_after: SECOND }));
    advance(SECOND).await;
    assert_eq!(breaker.open(), Some(Open { retry_after: Duration::ZERO }));
    let trial = breaker.try_enter().unwrap();
    assert_eq!(
        (trial.change(), breaker.open()),
        (Some(Change::HalfOpened), Some(Open { retry_after: SECOND }))
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_allocates_nothing() {
    let (breaker, open) = (breaker(), opened());
    let calls = || {
        for verdict in [Verdict::Success, Verdict::Failure, Verdict::Success] {
            assert_eq!(call(&breaker, verdict), Ok(None));
        }
        assert!(breaker.would_enter() && open.try_enter().is_err());
    };
    assert_eq!(allocation_counter::measure(calls).count_total, 0);
}
