use simulation::checker::{ACCOUNT_REVOKED_WITHIN, PUBLISHED_WITHIN, REVOKED_WITHIN};

use super::*;

fn show_me(at: Micros, answer: Answer) -> Call {
    call((at, at + 1), Request::ShowMe(tokens(1)), answer)
}

fn log_out() -> Call {
    call((5, 6), Request::LogOut(tokens(1)), Answer::Done)
}

/// A moment at which the platform has known for long whatever was acknowledged at the beginning.
const LONG_AFTER: Micros = WELL + ACCOUNT_REVOKED_WITHIN + PUBLISHED_WITHIN;

#[test]
fn the_access_tokens_of_an_ended_session_are_refused_within_the_stated_time() {
    const TAKEN: &str = "an access token is taken long after its session has ended";
    let log_out = |at| call((at - 1, at), Request::LogOut(tokens(1)), Answer::Done);
    // In a platform that is well, and in one that has to recover first.
    for (ended, known) in
        [(WELL, WELL + REVOKED_WITHIN), (6, WELL + REVOKED_WITHIN), (WELL + 7, WELL + 7 + REVOKED_WITHIN)]
    {
        assert_right(&after_login([log_out(ended), show_me(known - 1, ada())]));
        assert_wrong(&after_login([log_out(ended), show_me(known, ada())]), TAKEN);
        assert_right(&after_login([log_out(ended), show_me(known, UNAUTHENTICATED)]));
    }
    // A second use of an old refresh token has ended the session, too.
    let reused = [
        call((5, 6), Request::Refresh(tokens(1)), granted(2)),
        call((7, 8), Request::Refresh(tokens(2)), granted(3)),
        call((9, 10), Request::Refresh(tokens(1)), UNAUTHENTICATED),
        show_me(WELL + REVOKED_WITHIN, ada()),
    ];
    assert_wrong(&after_login(reused), TAKEN);
    let unknown = call((5, 6), Request::LogOut(tokens(1)), Answer::Unknown);
    for answer in [ada(), UNAUTHENTICATED] {
        assert_right(&after_login([unknown.clone(), show_me(LONG_AFTER, answer)]));
    }
}

#[test]
fn what_was_not_told_to_the_gateway_of_now_in_peace_need_not_be_known() {
    let at = WELL + REVOKED_WITHIN;
    let mut history = after_login([log_out(), show_me(at, ada())]);
    history.circumstances_mut().note_quiet(at - 1, false);
    assert_right(&history);
    let mut history = after_login([log_out(), show_me(at, ada())]);
    history.circumstances_mut().gateway_starts.push(7);
    assert_right(&history);
}

#[test]
fn the_access_tokens_of_a_deleted_account_are_refused_within_their_stated_time() {
    let deleted = call((5, 6), Request::DeleteMe(tokens(1)), Answer::Done);
    let list = |at, answer| call((at, at + 1), Request::ListSessions(tokens(1)), answer);
    let none = Answer::Sessions(Vec::new());
    let known = WELL + ACCOUNT_REVOKED_WITHIN;
    assert_right(&after_login([deleted.clone(), list(known - 1, none.clone())]));
    assert_wrong(&after_login([deleted.clone(), list(known, none)]), "an access token is taken long after");
    assert_right(&after_login([deleted, list(known, UNAUTHENTICATED)]));
}

#[test]
fn a_token_of_an_old_role_is_refused_within_the_stated_time() {
    const TAKEN: &str = "an access token is taken long after its user has another role";
    let changed = |role: &str| call((5, 6), change_role("ada", role), Answer::Done);
    let known = WELL + ACCOUNT_REVOKED_WITHIN;
    let now = || shown_as("operator", "ada", "ada@x.org", "Ada");
    assert_right(&after_login([changed("operator"), show_me(known - 1, now())]));
    assert_wrong(&after_login([changed("operator"), show_me(known, now())]), TAKEN);
    assert_right(&after_login([changed("operator"), show_me(known, UNAUTHENTICATED)]));
    // It has the role it had.
    assert_right(&after_login([changed("customer"), show_me(known, ada())]));
}

#[test]
fn a_token_that_holds_is_taken() {
    const REFUSED: &str = "an access token that holds is refused";
    assert_wrong(&after_login([show_me(5, UNAUTHENTICATED)]), REFUSED);
    assert_right(&after_login([log_out(), show_me(7, UNAUTHENTICATED)]));
    let later = call((9, 10), Request::LogOut(tokens(1)), Answer::Done);
    assert_wrong(&after_login([show_me(5, UNAUTHENTICATED), later]), REFUSED);
    let changed = call((5, 6), change_role("ada", "operator"), Answer::Unknown);
    assert_right(&after_login([changed, show_me(7, UNAUTHENTICATED)]));
    // What changed before the token was made is in the token.
    let before = call((2, 2), change_role("ada", "customer"), Answer::Done);
    assert_wrong(&after_login([before, show_me(5, UNAUTHENTICATED)]), REFUSED);
    for answer in [Answer::NotNow, Answer::NotDone, Answer::Unknown] {
        assert_right(&after_login([show_me(5, answer)]));
    }
}

#[test]
fn an_answer_that_was_lost_and_asked_for_again_costs_no_access_token() {
    const REFUSED: &str = "an access token that holds is refused";
    let refresh = |at, with, answer| call(at, Request::Refresh(tokens(with)), answer);
    let shows = || show_me(20, UNAUTHENTICATED);
    for first in [Answer::Unknown, granted(2)] {
        let again = [refresh((5, 6), 1, first), refresh((7, 8), 1, granted(3)), shows()];
        assert_wrong(&after_login(again), REFUSED);
    }
    // Whatever comes of an unknown use of a token that is spent or void, it may be the end.
    let told = refresh((5, 6), 1, granted(2));
    let chain = [told.clone(), refresh((7, 8), 2, granted(3))];
    for unknown in [refresh((7, 19), 1, Answer::Unknown), refresh((3, 19), 1, Answer::Unknown)] {
        assert_right(&after_login(chain.iter().cloned().chain([unknown, shows()])));
    }
    let again = refresh((7, 8), 1, granted(3));
    for answer in [Answer::Unknown, UNAUTHENTICATED] {
        let void = refresh((9, 10), 2, answer);
        assert_right(&after_login([told.clone(), again.clone(), void, shows()]));
    }
    let good = refresh((9, 10), 3, Answer::Unknown);
    assert_wrong(&after_login([told, again, good, shows()]), REFUSED);
}

#[test]
fn a_current_password_is_refused_when_it_may_be_another_one() {
    let wrong = Answer::Refused(Refusal::WrongPassword);
    let change = |current| call((5, 6), change_password(tokens(1), current, "pw2"), wrong.clone());
    assert_right(&after_login([change("guess")]));
    assert_wrong(&after_login([change("pw1")]), "the right password is refused");
}

#[test]
fn without_keys_no_token_is_judged() {
    let keyless = |answer, (from, until)| {
        let mut history = after_login([show_me(100, answer)]);
        history.circumstances_mut().keyless.push((from, until));
        history
    };
    for answer in [ada(), UNAUTHENTICATED, Answer::Refused(Refusal::NotFound)] {
        let found = checker::violations(&keyless(answer, (100, 101)), &[]);
        assert!(found.iter().any(|why| why.starts_with("a token is judged without a key")), "{found:#?}");
    }
    assert_right(&keyless(Answer::NotNow, (100, 101)));
    for outside in [(101, 200), (50, 100)] {
        assert_right(&keyless(ada(), outside));
    }
}

#[test]
fn every_key_that_signed_a_token_is_published_and_every_new_one_soon() {
    let keys = |at, ids: &[&str]| {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        call((at, at + 1), Request::ShowKeys, Answer::Keys(ids))
    };
    assert_right(&after_login([keys(5, &["k1"])]));
    assert_wrong(&after_login([keys(5, &["k2"])]), "key k1 signs and is not published");
    let rotated = call((5, 6), Request::RotateKeys, Answer::Keys(vec!["k2".to_owned()]));
    assert_right(&after_login([rotated.clone(), keys(7, &["k1"])]));
    assert_right(&after_login([rotated.clone(), keys(WELL + PUBLISHED_WITHIN, &["k1", "k2"])]));
    let late = keys(WELL + PUBLISHED_WITHIN, &["k1"]);
    assert_wrong(&after_login([rotated, late]), "key k2 was made and is not published");
}

#[test]
fn an_occasion_counts_where_a_rule_could_have_been_broken() {
    let mut history = after_login([
        call((5, 6), Request::Refresh(tokens(1)), Answer::Unknown),
        call(
            (7, 8),
            Request::Refresh(tokens(1)),
            Answer::Granted(Grant { key: "k2".to_owned(), ..tokens(2) }),
        ),
        call((9, 10), Request::LogOut(tokens(2)), Answer::Done),
        call((11, 12), Request::Refresh(tokens(2)), UNAUTHENTICATED),
        show_me(13, UNAUTHENTICATED),
        show_me(LONG_AFTER, UNAUTHENTICATED),
        show_me(LONG_AFTER + 10, Answer::NotNow),
    ]);
    history.circumstances_mut().keyless.push((LONG_AFTER + 10, LONG_AFTER + 20));
    assert_right(&history);
    let mut counted = checker::occasions(&history);
    counted.retain(|_, times| *times > 0);
    let expected = [
        ("register", 1),
        ("log in", 1),
        ("refresh", 1),
        ("log out", 1),
        ("tokens by a new key", 1),
        ("answer lost and asked for again", 1),
        ("no tokens of an ended session", 1),
        ("refused after the end of the session", 1),
        ("refused without a key", 1),
    ];
    assert_eq!(counted, expected.into_iter().collect());
}
