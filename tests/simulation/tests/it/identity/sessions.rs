use super::*;

const LOST: &str = "an acknowledged session is lost";
const UNRULED: &str = "new tokens that the rule does not allow";

fn refresh(at: (Micros, Micros), with: u32, answer: Answer) -> Call {
    call(at, Request::Refresh(tokens(with)), answer)
}

fn log_out(at: (Micros, Micros), with: u32, answer: Answer) -> Call {
    call(at, Request::LogOut(tokens(with)), answer)
}

#[test]
fn a_refresh_token_yields_once_and_its_second_use_ends_the_session() {
    let chain = [refresh((5, 6), 1, granted(2)), refresh((7, 8), 2, granted(3))];
    assert_right(&after_login(chain.clone()));
    // Tokens 2 were used, so that tokens 1 are merely old.
    let stolen = refresh((9, 10), 1, granted(4));
    assert_wrong(&after_login(chain.iter().cloned().chain([stolen])), UNRULED);
    let refused = refresh((9, 10), 1, UNAUTHENTICATED);
    assert_right(&after_login(chain.iter().cloned().chain([refused.clone()])));
    let ended = refresh((11, 12), 3, UNAUTHENTICATED);
    assert_right(&after_login(chain.iter().cloned().chain([refused.clone(), ended])));
    let goes_on = refresh((11, 12), 3, granted(5));
    assert_wrong(&after_login(chain.into_iter().chain([refused, goes_on])), UNRULED);
}

#[test]
fn an_acknowledged_session_goes_on_until_something_may_have_ended_it() {
    let refused = refresh((7, 8), 1, UNAUTHENTICATED);
    assert_wrong(&after_login([refused.clone()]), LOST);
    let enders = [Request::LogOut(tokens(1)), end_session(tokens(1), "first"), Request::DeleteMe(tokens(1))];
    for ender in enders {
        for answer in [Answer::Done, Answer::Unknown] {
            assert_right(&after_login([call((5, 6), ender.clone(), answer), refused.clone()]));
        }
        for answer in [Answer::NotDone, Answer::NotNow] {
            assert_wrong(&after_login([call((5, 6), ender.clone(), answer), refused.clone()]), LOST);
        }
        let later = call((9, 10), ender, Answer::Unknown);
        assert_wrong(&after_login([refused.clone(), later]), LOST);
    }
}

#[test]
fn an_ended_session_yields_nothing_more() {
    let enders = [Request::LogOut(tokens(1)), end_session(tokens(1), "first")];
    for ender in enders {
        let ended = call((5, 6), ender, Answer::Done);
        assert_wrong(&after_login([ended.clone(), refresh((7, 8), 1, granted(2))]), UNRULED);
        // They met, and the refresh came first.
        assert_right(&after_login([ended.clone(), refresh((6, 8), 1, granted(2))]));
        let then = [ended, refresh((6, 8), 1, granted(2)), refresh((9, 10), 2, granted(3))];
        assert_wrong(&after_login(then), UNRULED);
    }
    let deleted = call((5, 6), Request::DeleteMe(tokens(1)), Answer::Done);
    let found = checker::violations(&after_login([deleted, refresh((7, 8), 1, granted(2))]), &[]);
    assert!(found.iter().any(|why| why.starts_with(UNRULED)), "{found:#?}");
    assert!(found.iter().any(|why| why.starts_with("tokens for a deleted account")), "{found:#?}");
}

#[test]
fn a_lost_answer_is_given_once_more_within_the_grace_and_what_was_lost_is_void() {
    let lost = refresh((5, 6), 1, Answer::Unknown);
    let again = |at, answer| refresh(at, 1, answer);
    assert_right(&after_login([lost.clone(), again((7, 8), granted(2)), refresh((9, 10), 2, granted(3))]));
    assert_wrong(&after_login([lost.clone(), again((7, 8), UNAUTHENTICATED)]), LOST);
    // After the grace it may be either, for nobody knows when the first took effect, if it did.
    let late = (20 * SECOND, 20 * SECOND + 1);
    for answer in [granted(2), UNAUTHENTICATED] {
        assert_right(&after_login([lost.clone(), again(late, answer)]));
    }
    let told = refresh((5, 6), 1, granted(2));
    assert_wrong(&after_login([told.clone(), again(late, granted(3))]), UNRULED);
    assert_right(&after_login([told.clone(), again((7, 8), granted(3))]));
    // What the first answer brought was on its way, and is void once the second is there.
    let void = |answer| refresh((9, 10), 2, answer);
    assert_right(&after_login([told.clone(), again((7, 8), granted(3)), void(UNAUTHENTICATED)]));
    assert_wrong(&after_login([told.clone(), again((7, 8), granted(3)), void(granted(4))]), UNRULED);
    let after_void =
        [told, again((7, 8), granted(3)), void(UNAUTHENTICATED), refresh((11, 12), 3, granted(4))];
    assert_wrong(&after_login(after_void), UNRULED);
}

#[test]
fn of_refreshes_with_one_token_two_yield_and_the_third_ends_the_session() {
    let at_once = |answers: [Answer; 3]| after_login(answers.map(|answer| refresh((5, 9), 1, answer)));
    assert_right(&at_once([granted(2), granted(3), UNAUTHENTICATED]));
    assert_right(&at_once([granted(2), Answer::Unknown, UNAUTHENTICATED]));
    assert_wrong(&at_once([granted(2), granted(3), granted(4)]), UNRULED);
    assert_wrong(&at_once([granted(2), UNAUTHENTICATED, UNAUTHENTICATED]), LOST);
}

#[test]
fn a_change_of_password_ends_the_other_sessions_and_no_later_one() {
    let second = || tokens_of(2, "ada", "second");
    let with_second = |more: Vec<Call>| {
        let second = call((5, 6), log_in_ada(), Answer::Granted(second()));
        after_login(std::iter::once(second).chain(more))
    };
    let changed = |answer| call((7, 8), change_password(tokens(1), "pw1", "pw2"), answer);
    let refresh_second = |answer| call((9, 10), Request::Refresh(second()), answer);
    let new = Answer::Granted(tokens_of(3, "ada", "second"));
    assert_right(&with_second(vec![changed(Answer::Done), refresh_second(UNAUTHENTICATED)]));
    assert_wrong(&with_second(vec![changed(Answer::Done), refresh_second(new.clone())]), UNRULED);
    assert_wrong(&with_second(vec![changed(Answer::NotNow), refresh_second(UNAUTHENTICATED)]), LOST);
    for answer in [new, UNAUTHENTICATED] {
        assert_right(&with_second(vec![changed(Answer::Unknown), refresh_second(answer)]));
    }
    // The session that asked goes on.
    let own = |answer| refresh((9, 10), 1, answer);
    assert_right(&after_login([changed(Answer::Done), own(granted(3))]));
    assert_wrong(&after_login([changed(Answer::Done), own(UNAUTHENTICATED)]), LOST);
    // So does one that began with the new password, however late the change is told.
    let later = call((8, 9), log_in("ada@x.org", "pw2"), Answer::Granted(tokens_of(4, "ada", "later")));
    let lost = call((10, 11), Request::Refresh(tokens_of(4, "ada", "later")), UNAUTHENTICATED);
    assert_wrong(&after_login([changed(Answer::Unknown), later, lost]), LOST);
}

#[test]
fn the_list_of_sessions_holds_those_that_there_are() {
    let list = |at, ids: &[&str]| {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        call(at, Request::ListSessions(tokens(1)), Answer::Sessions(ids))
    };
    assert_right(&after_login([list((5, 6), &["first", "unheard of"])]));
    assert_wrong(&after_login([list((5, 6), &[])]), "an acknowledged session is not found");
    let ended = log_out((5, 6), 1, Answer::Done);
    assert_right(&after_login([ended.clone(), list((7, 8), &[])]));
    assert_wrong(&after_login([ended, list((7, 8), &["first"])]), "an ended session is listed");
    let unfound = call((5, 6), end_session(tokens(1), "first"), Answer::Refused(Refusal::NotFound));
    assert_wrong(&after_login([unfound]), "an acknowledged session is not found");
}

#[test]
fn a_session_is_ended_by_its_id_once() {
    let ends = |at, answer| call(at, end_session(tokens(1), "first"), answer);
    let twice = [ends((5, 6), Answer::Done), ends((7, 8), Answer::Done)];
    assert_wrong(&after_login(twice), "a session ends twice");
    let at_once = [ends((5, 9), Answer::Done), ends((5, 9), Answer::Done)];
    assert_wrong(&after_login(at_once), "a session ends twice");
    let ended = log_out((5, 6), 1, Answer::Done);
    assert_wrong(&after_login([ended.clone(), ends((7, 8), Answer::Done)]), "a session ends twice");
    // What ends it whether it goes on or not may come second.
    assert_right(&after_login([ends((5, 6), Answer::Done), log_out((7, 8), 1, Answer::Done)]));
    assert_right(&after_login([ended, ends((5, 8), Answer::Done)]));
    // The first may have been lost on its way.
    assert_right(&after_login([ends((5, 6), Answer::Unknown), ends((7, 8), Answer::Done)]));
    let deleted = call((5, 6), Request::DeleteMe(tokens(1)), Answer::Done);
    assert_right(&after_login([deleted, ends((7, 8), Answer::Done)]));
}

#[test]
fn a_logout_that_was_refused_may_have_ended_the_session_and_need_not() {
    let refused = log_out((5, 6), 1, UNAUTHENTICATED);
    for answer in [granted(2), UNAUTHENTICATED] {
        assert_right(&after_login([refused.clone(), refresh((7, 8), 1, answer)]));
    }
}

#[test]
fn tokens_and_sessions_are_never_given_twice() {
    let again = call((5, 6), log_in_ada(), Answer::Granted(tokens_of(1, "ada", "second")));
    assert_wrong(&after_login([again]), "a token is given twice");
    let again = call((5, 6), log_in_ada(), granted(2));
    assert_wrong(&after_login([again]), "a login brings a session that was there");
}

#[test]
fn an_end_that_met_a_refresh_came_after_it_however_much_may_have_happened_before() {
    let lost = (0..40).map(|nth| refresh((10 + nth, 60), 1, Answer::Unknown));
    let met = [log_out((100, 110), 2, Answer::Done), refresh((99, 110), 2, granted(3))];
    let history = |last| {
        let all = [refresh((5, 6), 1, granted(2))].into_iter().chain(lost.clone()).chain(met.clone());
        after_login(all.chain([last]))
    };
    assert_right(&history(refresh((120, 121), 3, UNAUTHENTICATED)));
    assert_wrong(&history(refresh((120, 121), 3, granted(4))), UNRULED);
}
