//! The checker holds requests between services to their rules, and to nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use proto::Repeatable;
use resilience::Change;
use service_client::{Event, Outcome, What};
use simulation::checker::{self, HEALED_WITHIN};
use simulation::history::{Ailing, Caller, Edge, History, Micros, RECOVERY, Sight};
use types::ServiceName;

const SECOND: Micros = 1_000_000;
const USERS: ServiceName = ServiceName::new("user-service");
const GATEWAY: Caller = Caller { host: "gateway", life: 1 };

/// All requests here are worth their answers for so long.
const LEFT: Duration = Duration::from_secs(2);

fn addr(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 3000))
}

fn began(repeatable: Repeatable) -> What {
    What::Began { callee: USERS, protocol: "http", path: "/users/me".to_owned(), repeatable, left: LEFT }
}

fn get() -> What {
    began(Repeatable::WithoutEffect)
}

fn sent(number: u32, left: Duration) -> What {
    What::Sent { addr: addr(1), number, left }
}

fn chosen(is_trial: bool) -> What {
    What::Chosen { addr: addr(1), is_trial }
}

fn left(is_trial: bool, change: Option<Change>) -> What {
    What::Left { addr: addr(1), is_trial, change }
}

/// What happened when, and to which request.
fn of(sights: impl IntoIterator<Item = (Micros, u64, What)>) -> History {
    let mut history = History::default();
    for (at, request, what) in sights {
        history.sight(Sight { at, caller: GATEWAY, event: Event { request, what } });
    }
    history
}

/// The same of one request.
fn of_one(sights: impl IntoIterator<Item = (Micros, What)>) -> History {
    of(sights.into_iter().map(|(at, what)| (at, 7, what)))
}

#[track_caller]
fn assert_right(history: &History) {
    assert_eq!(checker::violations(history, &[]), Vec::<String>::new());
}

#[track_caller]
fn assert_wrong(history: &History, why: &str) {
    let found = checker::violations(history, &[]);
    assert!(matches!(&found[..], [only] if only.starts_with(why)), "{found:#?}");
}

/// So many requests, each answered at once, as many as it takes for an attempt more.
fn many(count: u64) -> impl Iterator<Item = (Micros, u64, What)> {
    let answered = |request| {
        let at = request * 1_000;
        [(at, 100 + request, get()), (at, 100 + request, sent(1, LEFT))]
    };
    (0..count).flat_map(answered)
}

#[test]
fn no_attempt_begins_after_its_deadline_and_no_callee_is_told_of_more_time() {
    assert_right(&of_one([(10, get()), (1_999_999, sent(1, Duration::from_micros(11)))]));
    let late = of_one([(10, get()), (2 * SECOND + 11, sent(1, Duration::ZERO))]);
    assert_wrong(&late, "an attempt begins after its request's deadline");
    let grown = of_one([(10, get()), (SECOND, sent(1, LEFT))]);
    assert_wrong(&grown, "a callee is told of more time than is left");
}

#[test]
fn what_may_have_happened_is_sent_again_only_where_that_does_no_harm() {
    let twice = |repeatable, outcome: Option<Outcome>| {
        let begins = [(0, 7, began(repeatable)), (0, 7, sent(1, LEFT))];
        let came = outcome.map(|outcome| (0, 7, What::Came(outcome)));
        of(many(10).chain(begins).chain(came).chain([(0, 7, sent(2, LEFT))]))
    };
    assert_right(&twice(Repeatable::No, Some(Outcome::Undone)));
    for outcome in [Some(Outcome::Unknown), Some(Outcome::Silent), Some(Outcome::Answered), None] {
        assert_wrong(&twice(Repeatable::No, outcome), "what may have happened is sent again");
        assert_right(&twice(Repeatable::Idempotent, outcome));
    }
}

#[test]
fn nothing_goes_to_an_instance_whose_breaker_is_open_but_one_trial_after_each_pause() {
    let opens = [(0, get()), (0, chosen(false)), (5, left(false, Some(Change::Opened)))];
    let then = |more: &[(Micros, What)]| of_one(opens.iter().chain(more).cloned());
    let back = (SECOND + 5, chosen(true));
    assert_right(&then(&[
        back.clone(),
        (SECOND + 9, left(true, Some(Change::Closed))),
        (SECOND + 9, chosen(false)),
    ]));
    let unsettled = (SECOND + 9, left(true, None));
    assert_right(&then(&[back.clone(), unsettled.clone(), (2 * SECOND + 9, chosen(true))]));
    assert_wrong(
        &then(&[back.clone(), unsettled, (2 * SECOND + 8, chosen(true))]),
        "an instance is tried before its pause is over",
    );
    assert_wrong(
        &then(&[(SECOND + 5, chosen(false))]),
        "an instance is sent to whose circuit breaker is open",
    );
    assert_wrong(&then(&[back.clone(), back.clone()]), "an instance is tried by two requests at once");
    assert_wrong(&then(&[(SECOND + 4, chosen(true))]), "an instance is tried before its pause is over");
    let failed = (2 * SECOND, left(true, Some(Change::Opened)));
    assert_right(&then(&[back.clone(), failed.clone(), (3 * SECOND, chosen(true))]));
    let too_soon = then(&[back, failed, (3 * SECOND - 1, chosen(true))]);
    assert_wrong(&too_soon, "an instance is tried before its pause is over");
    assert_wrong(
        &of_one([(0, get()), (0, chosen(true))]),
        "an instance is tried whose circuit breaker never opened",
    );
}

#[test]
fn what_is_tried_again_keeps_to_its_budget_in_every_window() {
    let paid = |count, at| (0..count).map(move |_| (at, 7, What::Paid));
    let first = [(0, 7, get())];
    let found =
        |requests, retries, at| of(first.clone().into_iter().chain(many(requests)).chain(paid(retries, at)));
    assert_right(&found(99, 20, SECOND));
    let why = "more is tried again than the budget allows";
    assert_wrong(&found(98, 20, SECOND), why);
    assert_wrong(&found(99, 11, 20 * SECOND), why);
    let before = paid(10, 0).chain(paid(10, 10 * SECOND + 1));
    assert_right(&of(first.clone().into_iter().chain(before)));
    let within = paid(10, 0).chain(paid(10, 10 * SECOND));
    assert_wrong(&of(first.into_iter().chain(within)), why);
}

#[test]
fn over_all_a_tenth_is_tried_again_at_most() {
    let again = |count: u32| (0..count).map(|nth| (0, 100 + u64::from(nth), sent(2, LEFT)));
    assert_right(&of(many(20).chain(again(2))));
    assert_wrong(&of(many(20).chain(again(3))), "too much is tried again");
    let over_another_connection = (0, 119, sent(1, LEFT));
    assert_right(&of(many(20).chain(again(2)).chain([over_another_connection])));
}

#[test]
fn an_instance_that_is_well_is_sent_to_again_after_one_request_for_each() {
    const WELL: Micros = RECOVERY;
    let history = |requests: u64, at| {
        let requests = (0..requests).map(|request| (WELL + SECOND + request, request, get()));
        let mut history = of(requests);
        history.circumstances_mut().gateway_starts.push(0);
        history.circumstances_mut().note_quiet(0, true);
        let edge = Edge { caller: GATEWAY, callee: USERS, protocol: "http" };
        history.ailing(Ailing { at, edge, addr: addr(1), is_away: false, instances: 3 });
        history
    };
    assert_wrong(&history(3, WELL + HEALED_WITHIN + 3), "an instance that is well is left out");
    assert_right(&history(2, WELL + HEALED_WITHIN + 3));
    assert_right(&history(3, WELL + HEALED_WITHIN));
}
