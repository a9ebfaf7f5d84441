use std::collections::VecDeque;

use tokio::time::advance;

use super::*;

const CONFIG: LoadLimitConfig =
    LoadLimitConfig { first: 8, least: 2, most: 20, slack: Duration::from_millis(1) };

/// As many as get in.
fn fill(limit: &LoadLimit, priority: Priority) -> Vec<Admitted> {
    std::iter::from_fn(|| limit.try_enter(priority).ok()).collect()
}

#[tokio::test(start_paused = true)]
async fn lower_priorities_lose_their_places_first() {
    let limit = LoadLimit::new(CONFIG);
    let background = fill(&limit, Priority::Background);
    let users = fill(&limit, Priority::Users);
    let operators = fill(&limit, Priority::Operators);
    assert_eq!([background.len(), users.len(), operators.len()], [6, 2, 12], "up to the cap");
    assert_eq!((limit.in_flight(), limit.limit()), (20, 8));
    drop((background, users, operators));
    assert_eq!(limit.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn operators_find_a_place_when_users_have_taken_all_that_they_may() {
    let limit = LoadLimit::new(LoadLimitConfig { first: 20, ..CONFIG });
    let users = fill(&limit, Priority::Users);
    let operators = fill(&limit, Priority::Operators);
    assert_eq!([users.len(), operators.len()], [18, 2]);
}

#[tokio::test(start_paused = true)]
async fn each_kind_has_its_own_limit_and_all_of_them_one_cap() {
    let dear = LoadLimit::new(CONFIG);
    let cheap = [dear.beside(), dear.beside()];
    let users = [&dear, &cheap[0], &cheap[1]].map(|limit| fill(limit, Priority::Users));
    assert_eq!(users.each_ref().map(Vec::len), [8, 8, 2], "the last finds the cap");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_that_it_did_not_happen_and_when_to_ask_again() {
    let limit = LoadLimit::new(LoadLimitConfig { first: 1, least: 1, ..CONFIG });
    let _under_way = limit.try_enter(Priority::Users).unwrap();
    let shed = limit.try_enter(Priority::Users).unwrap_err();
    assert_eq!((shed.class(), shed.retry_after.seconds()), (ErrorClass::Unavailable, 1));
}

/// Answers as many as get in, wave after wave, each in `took`.
async fn waves(limit: &LoadLimit, took: Duration, outcome: Outcome) {
    for _ in 0..50 {
        let wave = fill(limit, Priority::Users);
        advance(took).await;
        wave.into_iter().for_each(|admitted| admitted.finish(outcome));
    }
}

#[tokio::test(start_paused = true)]
async fn it_rises_while_all_of_it_is_in_use_and_answers_are_no_slower() {
    let limit = LoadLimit::new(CONFIG);
    waves(&limit, Duration::from_millis(50), Outcome::Worked).await;
    assert!(limit.limit() > CONFIG.first, "{}", limit.limit());
}

#[tokio::test(start_paused = true)]
async fn refusals_and_waits_that_were_wished_for_teach_nothing() {
    let limit = LoadLimit::new(CONFIG);
    for took in [1, 5_000, 1] {
        waves(&limit, Duration::from_millis(took), Outcome::Nothing).await;
    }
    assert_eq!(limit.limit(), CONFIG.first);
}

#[tokio::test(start_paused = true)]
async fn what_hangs_does_not_hold_up_the_rest() {
    let limit = LoadLimit::new(CONFIG);
    let _hangs = limit.try_enter(Priority::Users).unwrap();
    waves(&limit, Duration::from_millis(50), Outcome::Worked).await;
    assert!(limit.limit() > CONFIG.first, "{}", limit.limit());
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_not_halved_for_long_where_everything_hangs() {
    let limit = LoadLimit::new(CONFIG);
    let _hang: Vec<_> = (0..5).map(|_| limit.try_enter(Priority::Users).unwrap()).collect();
    waves(&limit, Duration::from_millis(50), Outcome::Worked).await;
    assert_eq!(
        (limit.limit(), fill(&limit, Priority::Users).len()),
        (4, 0),
        "it is halved, and more hang than that"
    );
    advance(Duration::from_secs(60)).await;
    assert!(limit.try_enter(Priority::Users).is_err());
    assert_eq!(fill(&limit, Priority::Users).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_slow_call_among_many_counts_as_no_more_than_a_few() {
    let config = LoadLimitConfig { first: 100, most: 1_000, ..CONFIG };
    let limit = LoadLimit::new(config);
    let mut slow = VecDeque::new();
    for wave in 0..200 {
        let mut admitted = fill(&limit, Priority::Users);
        advance(Duration::from_millis(50)).await;
        // Each takes a hundred times as long as the others.
        if wave >= 100 {
            slow.pop_front().into_iter().for_each(|admitted: Admitted| admitted.finish(Outcome::Worked));
        }
        slow.extend(admitted.pop());
        admitted.into_iter().for_each(|admitted| admitted.finish(Outcome::Worked));
    }
    assert!(limit.limit() >= config.first, "{}", limit.limit());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_refused_while_answers_come_sooner_than_anybody_notices() {
    let slack = Duration::from_millis(25);
    let limit = LoadLimit::new(LoadLimitConfig { first: 16, slack, ..CONFIG });
    for _ in 0..2_000 {
        let admitted: Vec<_> = (0..16).map(|_| limit.try_enter(Priority::Users).unwrap()).collect();
        tokio::time::advance(Duration::from_millis(10)).await;
        admitted.into_iter().for_each(|admitted| admitted.finish(Outcome::Worked));
    }
}
