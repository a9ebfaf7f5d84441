use std::collections::BTreeMap;

use simulation::checker::{AFTERWARDS, Look, Stored};

use super::*;

fn show_me(at: (Micros, Micros), with: u32, answer: Answer) -> Call {
    call(at, Request::ShowMe(tokens(with)), answer)
}

#[test]
fn an_account_that_was_registered_is_there_and_is_the_one_that_its_tokens_show() {
    assert_right(&after_login([show_me((5, 6), 1, ada())]));
    let gone = show_me((5, 6), 1, Answer::Refused(Refusal::NotFound));
    assert_wrong(&after_login([gone]), "an acknowledged account is lost");
    let renamed = show_me((5, 6), 1, shown("ada", "ada@x.org", "Eve"));
    assert_wrong(&after_login([renamed]), "a name that the account cannot have");
}

#[test]
fn a_token_shows_nothing_of_anybody_else() {
    let bob = call((1, 2), register("bob@x.org", "Bob", "pw9"), shown("bob", "bob@x.org", "Bob"));
    let with_bob = |more: Vec<Call>| after_login(std::iter::once(bob.clone()).chain(more));
    let shows_bob = show_me((5, 6), 1, shown("bob", "bob@x.org", "Bob"));
    let found = checker::violations(&with_bob(vec![shows_bob]), &[]);
    assert!(found.iter().any(|why| why.starts_with("a token shows another's account")), "{found:#?}");
    let show_bob = |with, answer| call((5, 6), Request::ShowUser { with, id: "bob".to_owned() }, answer);
    assert_right(&with_bob(vec![show_bob(tokens(1), Answer::Refused(Refusal::Forbidden))]));
    let shown = shown("bob", "bob@x.org", "Bob");
    assert_wrong(&with_bob(vec![show_bob(tokens(1), shown)]), "a customer is shown another's account");
    let bobs = || tokens_of(2, "bob", "bobs");
    let login = call((3, 4), log_in("bob@x.org", "pw9"), Answer::Granted(bobs()));
    let list = call((5, 6), Request::ListSessions(bobs()), Answer::Sessions(vec!["first".to_owned()]));
    let found = checker::violations(&with_bob(vec![login.clone(), list]), &[]);
    assert!(found.iter().any(|why| why.starts_with("a token shows another's sessions")), "{found:#?}");
    let ends = |answer| call((5, 6), end_session(bobs(), "first"), answer);
    assert_right(&with_bob(vec![login.clone(), ends(Answer::Refused(Refusal::NotFound))]));
    assert_wrong(&with_bob(vec![login.clone(), ends(Answer::Done)]), "a token ends another's session");
    let refresh = call((5, 6), Request::Refresh(tokens(1)), Answer::Granted(tokens_of(3, "bob", "bobs")));
    assert_wrong(&with_bob(vec![login, refresh]), "a refresh gives another's tokens");
}

#[test]
fn a_password_is_taken_while_the_account_has_it() {
    let guess = |answer| call((5, 6), log_in("ada@x.org", "guess"), answer);
    assert_right(&after_login([guess(UNAUTHENTICATED)]));
    let second = || Answer::Granted(tokens_of(2, "ada", "second"));
    assert_wrong(&after_login([guess(second())]), "a password that the account cannot have");
    let refused = call((9, 10), log_in_ada(), UNAUTHENTICATED);
    assert_wrong(&after_login([refused.clone()]), "the right password is refused");
    for answer in [Answer::Done, Answer::Unknown] {
        let changed = call((7, 8), change_password(tokens(1), "pw1", "pw2"), answer);
        assert_right(&after_login([changed, refused.clone()]));
    }
    let changed = call((7, 8), change_password(tokens(1), "pw1", "pw2"), Answer::Done);
    let old = call((9, 10), log_in_ada(), second());
    let found = checker::violations(&after_login([changed, old]), &[]);
    assert!(found.iter().any(|why| why.starts_with("a password that the account cannot have")), "{found:#?}");
    let unproved = call((7, 8), change_password(tokens(1), "guess", "pw2"), Answer::Done);
    assert_wrong(&after_login([unproved]), "a password that the account cannot have");
    let deleted = call((7, 8), Request::DeleteMe(tokens(1)), Answer::Unknown);
    assert_right(&after_login([deleted, refused]));
}

#[test]
fn a_deleted_account_has_no_tokens() {
    let deleted = call((5, 6), Request::DeleteMe(tokens(1)), Answer::Done);
    let login = call((7, 8), log_in_ada(), Answer::Granted(tokens_of(2, "ada", "second")));
    let found = checker::violations(&after_login([deleted, login]), &[]);
    assert!(found.iter().any(|why| why.starts_with("tokens for a deleted account")), "{found:#?}");
}

#[test]
fn a_login_proves_the_registration_whose_answer_was_lost() {
    let mut history = History::default();
    let register = || register("eve@x.org", "Eve", "pw5");
    history.call(call((1, 2), register(), Answer::Unknown));
    history.call(call((3, 4), register(), Answer::Unknown));
    history.call(call((5, 6), register(), Answer::Refused(Refusal::Conflict)));
    let eves = tokens_of(1, "eve", "first");
    history.call(call((7, 8), log_in("eve@x.org", "pw5"), Answer::Granted(eves.clone())));
    history.call(call((9, 10), Request::ShowMe(eves.clone()), shown("eve", "eve@x.org", "Eve")));
    assert_right(&history);
    history.call(call((11, 12), Request::ShowMe(eves), Answer::Refused(Refusal::NotFound)));
    assert_wrong(&history, "an acknowledged account is lost");
}

#[test]
fn tokens_and_answers_say_the_role_that_the_account_has() {
    let operators = || Grant { role: "operator".to_owned(), ..tokens(2) };
    let refreshed = |grant| call((9, 10), Request::Refresh(tokens(1)), Answer::Granted(grant));
    let changed = |answer| call((7, 8), change_role("ada", "operator"), answer);
    assert_right(&after_login([changed(Answer::Done), refreshed(operators())]));
    let wrong = "a role that the account cannot have";
    assert_wrong(&after_login([changed(Answer::Done), refreshed(tokens(2))]), wrong);
    assert_wrong(&after_login([refreshed(operators())]), wrong);
    for grant in [tokens(2), operators()] {
        assert_right(&after_login([changed(Answer::Unknown), refreshed(grant)]));
    }
    let shown = shown_as("operator", "ada", "ada@x.org", "Ada");
    assert_wrong(&after_login([show_me((5, 6), 1, shown)]), wrong);
    let lost = call((7, 8), change_role("ada", "operator"), Answer::Refused(Refusal::NotFound));
    assert_wrong(&after_login([lost]), "an acknowledged account is lost");
}

#[test]
fn passwords_and_roles_that_surely_changed_make_versions() {
    let version = |more: Vec<Call>, version| {
        let account = Account { id: "ada".to_owned(), email: "ada@x.org".to_owned(), name: "Ada".to_owned() };
        let table = BTreeMap::from([("ada".to_owned(), Stored { account, version })]);
        checker::violations(&after_login(more), &[Look { at: AFTERWARDS, table }])
    };
    let assert_least = |more: Vec<Call>, least| {
        assert_eq!(version(more.clone(), least), Vec::<String>::new());
        let found = version(more, least - 1);
        assert!(
            matches!(&found[..], [only] if only.starts_with("fewer versions than acknowledged changes")),
            "{found:#?}"
        );
    };
    let gives = |at, role, answer| call(at, change_role("ada", role), answer);
    assert_least(vec![call((5, 6), change_password(tokens(1), "pw1", "pw2"), Answer::Done)], 2);
    assert_least(vec![gives((5, 6), "operator", Answer::Done)], 2);
    let to_and_fro = vec![gives((5, 6), "operator", Answer::Done), gives((7, 8), "customer", Answer::Done)];
    assert_least(to_and_fro, 3);
    // It may have had the role already, or have it still.
    let nothing_sure = [
        vec![call((5, 6), change_password(tokens(1), "pw1", "pw2"), Answer::Unknown)],
        vec![gives((5, 6), "customer", Answer::Done)],
        vec![gives((5, 6), "operator", Answer::Unknown)],
    ];
    for more in nothing_sure {
        assert_eq!(version(more, 1), Vec::<String>::new());
    }
    let again = [gives((5, 6), "operator", Answer::Done), gives((7, 8), "operator", Answer::Done)];
    assert_least(again.to_vec(), 2);
    let lost = [gives((5, 6), "operator", Answer::Unknown), gives((7, 8), "operator", Answer::Done)];
    assert_eq!(version(lost.to_vec(), 2), Vec::<String>::new());
}

#[test]
fn no_right_platform_gives_some_answers() {
    let strange = show_me((5, 6), 1, Answer::Unexpected("500".to_owned()));
    assert_wrong(&after_login([strange]), "no right platform answers so");
    let conflict = show_me((5, 6), 1, Answer::Refused(Refusal::Conflict));
    let found = checker::violations(&after_login([conflict]), &[]);
    assert!(
        found.iter().any(|why| why.starts_with("a refusal that such a request never gets")),
        "{found:#?}"
    );
}
