//! The checker accepts what a right service may answer, and nothing else.

use std::collections::BTreeMap;

use simulation::checker::{self, AFTERWARDS, Look, Stored, Table};
use simulation::history::{Account, Attempt, History, Micros, Operation, Outcome};

fn violations(attempts: &[Attempt], power_losses: &[Micros], looks: &[Look]) -> Vec<String> {
    let mut history = History::default();
    attempts.iter().cloned().for_each(|attempt| history.attempt(attempt));
    history.circumstances_mut().power_losses.extend(power_losses);
    checker::violations(&history, looks)
}

fn account(id: &str, email: &str, name: &str) -> Account {
    Account { id: id.to_owned(), email: email.to_owned(), name: name.to_owned() }
}

fn attempt((started, ended): (Micros, Micros), operation: Operation, outcome: Outcome) -> Attempt {
    Attempt { client: "client".to_owned(), operation, started, ended, outcome }
}

fn create(email: &str, name: &str) -> Operation {
    Operation::Create { email: email.to_owned(), name: name.to_owned() }
}

fn rename(id: &str, name: &str) -> Operation {
    Operation::Update { id: id.to_owned(), email: None, name: Some(name.to_owned()) }
}

fn change(id: &str, email: &str, name: &str) -> Operation {
    Operation::Update { id: id.to_owned(), email: Some(email.to_owned()), name: Some(name.to_owned()) }
}

fn readdress(id: &str, email: &str) -> Operation {
    Operation::Update { id: id.to_owned(), email: Some(email.to_owned()), name: None }
}

fn get(id: &str) -> Operation {
    Operation::Get { id: id.to_owned() }
}

fn delete(id: &str) -> Operation {
    Operation::Delete { id: id.to_owned() }
}

fn done(id: &str, email: &str, name: &str) -> Outcome {
    Outcome::Done(Some(account(id, email, name)))
}

/// Ada's account, made from 1 to 2, and then what else happened.
fn after_ada(more: impl IntoIterator<Item = Attempt>) -> Vec<Attempt> {
    let ada = attempt((1, 2), create("ada@x.org", "Ada"), done("1", "ada@x.org", "Ada"));
    std::iter::once(ada).chain(more).collect()
}

fn table(rows: &[(Account, i64)]) -> Table {
    let stored = |(account, version): &(Account, i64)| Stored { account: account.clone(), version: *version };
    rows.iter().map(|row| (row.0.id.clone(), stored(row))).collect::<BTreeMap<_, _>>()
}

/// The table as it was from time to time, the last time after everything else.
fn looks<const N: usize>(times: [Micros; N], tables: [Table; N]) -> Vec<Look> {
    times.into_iter().zip(tables).map(|(at, table)| Look { at, table }).collect()
}

#[track_caller]
fn assert_right(history: &[Attempt]) {
    assert_eq!(violations(history, &[], &[]), Vec::<String>::new());
}

#[track_caller]
fn assert_wrong(history: &[Attempt], why: &str) {
    assert_only(&violations(history, &[], &[]), why);
}

#[track_caller]
fn assert_only(found: &[String], why: &str) {
    assert!(matches!(found, [only] if only.starts_with(why)), "{found:#?}");
}

#[test]
fn an_acknowledged_account_is_there_until_someone_may_have_deleted_it() {
    let missing = attempt((5, 6), get("1"), Outcome::NotFound);
    assert_wrong(&after_ada([missing.clone()]), "an acknowledged account is lost");
    for outcome in [Outcome::Done(None), Outcome::Unknown] {
        assert_right(&after_ada([attempt((3, 6), delete("1"), outcome), missing.clone()]));
    }
    for outcome in [Outcome::NotDone, Outcome::NotFound] {
        let told = attempt((7, 8), delete("1"), outcome);
        assert!(!violations(&after_ada([told, missing.clone()]), &[], &[]).is_empty());
    }
    let too_late = attempt((7, 8), delete("1"), Outcome::Done(None));
    assert_wrong(&after_ada([missing, too_late]), "an acknowledged account is lost");
}

#[test]
fn a_deleted_account_stays_away() {
    let deleted = attempt((3, 4), delete("1"), Outcome::Done(None));
    let seen = |at| attempt(at, get("1"), done("1", "ada@x.org", "Ada"));
    assert_wrong(&after_ada([deleted.clone(), seen((5, 6))]), "a deleted account is back");
    assert_right(&after_ada([deleted.clone(), seen((4, 6))]));
    let at_once = attempt((3, 6), delete("1"), Outcome::Done(None));
    assert_wrong(&after_ada([deleted, at_once]), "an account is deleted twice");
}

#[test]
fn an_acknowledged_change_is_visible_until_it_is_superseded() {
    let renamed = attempt((3, 4), rename("1", "Ada L."), done("1", "ada@x.org", "Ada L."));
    let shows = |at, name| attempt(at, get("1"), done("1", "ada@x.org", name));
    let assert_outdated = |history: &[Attempt]| {
        let found = violations(history, &[], &[]);
        assert!(matches!(&found[..], [first, _goes_back] if first.starts_with("a name that")), "{found:#?}");
    };
    assert_outdated(&after_ada([renamed.clone(), shows((5, 6), "Ada")]));
    assert_right(&after_ada([renamed.clone(), shows((4, 6), "Ada")]));
    let again = attempt((5, 8), rename("1", "Countess"), Outcome::Unknown);
    for name in ["Ada L.", "Countess"] {
        assert_right(&after_ada([renamed.clone(), again.clone(), shows((90, 91), name)]));
    }
    assert_outdated(&after_ada([renamed, again, shows((90, 91), "Ada")]));
}

#[test]
fn what_was_told_not_to_have_happened_did_not() {
    let renamed = attempt((3, 4), rename("1", "Ada L."), Outcome::NotDone);
    let seen = attempt((5, 6), get("1"), done("1", "ada@x.org", "Ada L."));
    assert_wrong(&after_ada([renamed, seen]), "a name that");
    let stranger = attempt((5, 6), get("2"), done("2", "bob@x.org", "Bob"));
    assert_wrong(&after_ada([stranger]), "an account that nobody made");
}

#[test]
fn an_email_is_taken_only_while_someone_may_have_it() {
    let refused = |at| attempt(at, create("ada@x.org", "Other"), Outcome::EmailTaken);
    assert_right(&after_ada([refused((2, 3))]));
    let deleted = attempt((3, 4), delete("1"), Outcome::Done(None));
    assert_right(&after_ada([deleted.clone(), refused((4, 5))]));
    assert_wrong(&after_ada([deleted, refused((5, 6))]), "nobody can have the e-mail");
    let moved = attempt((3, 4), readdress("1", "countess@x.org"), done("1", "countess@x.org", "Ada"));
    assert_wrong(&after_ada([moved, refused((5, 6))]), "nobody can have the e-mail");
    let own = attempt((3, 4), readdress("1", "ada@x.org"), Outcome::EmailTaken);
    assert_wrong(&after_ada([own]), "nobody can have the e-mail");
}

#[test]
fn a_creation_of_unknown_outcome_may_hold_its_email_for_ever() {
    let unknown = attempt((3, 4), create("bob@x.org", "Bob"), Outcome::Unknown);
    let retried = attempt((5, 6), create("bob@x.org", "Bob"), Outcome::EmailTaken);
    assert_right(&after_ada([unknown, retried.clone()]));
    assert_wrong(&after_ada([retried]), "nobody can have the e-mail");
}

#[test]
fn an_email_never_belongs_to_two_accounts_at_a_time() {
    let second = attempt((3, 4), create("ada@x.org", "Eve"), done("2", "ada@x.org", "Eve"));
    assert_wrong(&after_ada([second.clone()]), "an e-mail with two accounts");
    for giving_up in [readdress("1", "countess@x.org"), delete("1")] {
        assert_right(&after_ada([attempt((2, 9), giving_up.clone(), Outcome::Unknown), second.clone()]));
        assert_wrong(
            &after_ada([attempt((5, 9), giving_up, Outcome::Unknown), second.clone()]),
            "an e-mail with two accounts",
        );
    }
}

#[test]
fn an_id_is_given_once_and_strange_answers_are_told() {
    let second = attempt((3, 4), create("eve@x.org", "Eve"), done("1", "eve@x.org", "Eve"));
    assert_wrong(&after_ada([second]), "an id was given twice");
    let odd = attempt((3, 4), get("1"), Outcome::Unexpected("internal".to_owned()));
    assert_wrong(&after_ada([odd]), "no right service answers so");
}

#[test]
fn the_table_holds_what_was_acknowledged_and_nothing_that_nobody_asked_for() {
    let history = after_ada([
        attempt((3, 4), rename("1", "Ada L."), done("1", "ada@x.org", "Ada L.")),
        attempt((5, 6), create("bob@x.org", "Bob"), Outcome::Unknown),
        attempt((5, 6), create("eve@x.org", "Eve"), Outcome::NotDone),
    ]);
    let ada = || account("1", "ada@x.org", "Ada L.");
    let found = |rows: &[(Account, i64)]| violations(&history, &[], &looks([AFTERWARDS], [table(rows)]));
    assert_eq!(found(&[(ada(), 2)]), Vec::<String>::new());
    assert_eq!(found(&[(ada(), 2), (account("2", "bob@x.org", "Bob"), 1)]), Vec::<String>::new());
    let told = |rows: &[(Account, i64)], why: &str| assert_only(&found(rows), why);
    told(&[], "an acknowledged account is lost");
    told(&[(account("1", "ada@x.org", "Ada"), 2)], "a name that");
    told(&[(ada(), 1)], "fewer versions than acknowledged changes");
    told(&[(ada(), 3)], "more versions than changes that were asked for");
    told(&[(ada(), 2), (account("2", "bob@x.org", "Bob"), 2)], "a change that nobody asked for");
    told(&[(ada(), 2), (account("3", "eve@x.org", "Eve"), 1)], "an account that nobody made");
}

#[test]
fn a_version_only_grows() {
    let at = |name, version| table(&[(account("1", "ada@x.org", name), version)]);
    let history = after_ada([attempt((3, 4), rename("1", "Ada L."), Outcome::Unknown)]);
    let found = |tables| violations(&history, &[], &looks([8, 9], tables));
    assert_eq!(found([at("Ada", 1), at("Ada L.", 2)]), Vec::<String>::new());
    for tables in [[at("Ada L.", 2), at("Ada", 1)], [at("Ada", 1), at("Ada L.", 1)]] {
        let found = found(tables);
        assert!(found.iter().any(|why| why.starts_with("a version does not grow")), "{found:#?}");
    }
}

#[test]
fn an_answer_is_about_what_was_asked() {
    let bob = attempt((3, 4), create("bob@x.org", "Bob"), done("2", "bob@x.org", "Bob"));
    let others = attempt((5, 6), get("1"), done("2", "bob@x.org", "Bob"));
    assert_wrong(&after_ada([bob, others]), "the answer shows another account");
    let unchanged = attempt((5, 6), rename("1", "Ada L."), done("1", "ada@x.org", "Ada"));
    assert_wrong(&after_ada([unchanged]), "the answer does not show what was asked for");
    let other_name = attempt((3, 4), create("bob@x.org", "Bob"), done("2", "bob@x.org", "Rob"));
    assert_wrong(&after_ada([other_name]), "the answer does not show what was asked for");
}

#[test]
fn a_change_of_two_fields_shows_as_a_whole_whether_or_not_it_was_acknowledged() {
    let unknown = attempt((3, 4), change("1", "countess@x.org", "Ada L."), Outcome::Unknown);
    let shows = |email, name| attempt((5, 6), get("1"), done("1", email, name));
    for (email, name) in [("ada@x.org", "Ada"), ("countess@x.org", "Ada L.")] {
        assert_right(&after_ada([unknown.clone(), shows(email, name)]));
    }
    for (email, name) in [("ada@x.org", "Ada L."), ("countess@x.org", "Ada")] {
        assert_wrong(&after_ada([unknown.clone(), shows(email, name)]), "half of a change");
        let meanwhile = attempt((3, 9), change("1", email, name), Outcome::Unknown);
        assert_right(&after_ada([unknown.clone(), meanwhile, shows(email, name)]));
    }
}

#[test]
fn a_read_goes_back_only_over_a_power_loss_or_a_repeated_change() {
    let open = attempt((3, 4), rename("1", "Ada L."), Outcome::Unknown);
    let reads = || {
        let shows = |at, name| attempt(at, get("1"), done("1", "ada@x.org", name));
        [shows((5, 6), "Ada L."), shows((8, 9), "Ada")]
    };
    let history = after_ada([open.clone()].into_iter().chain(reads()));
    assert_wrong(&history, "a read goes back");
    assert_eq!(violations(&history, &[7], &[]), Vec::<String>::new());
    assert_only(&violations(&history, &[10], &[]), "a read goes back");
    let again = attempt((4, 9), rename("1", "Ada"), Outcome::Unknown);
    assert_right(&after_ada([open, again].into_iter().chain(reads())));
}

#[test]
fn every_look_at_the_table_counts_even_at_an_account_that_is_deleted_later() {
    let history = after_ada([
        attempt((3, 4), rename("1", "Ada L."), done("1", "ada@x.org", "Ada L.")),
        attempt((20, 21), delete("1"), Outcome::Done(None)),
    ]);
    let ada = || account("1", "ada@x.org", "Ada L.");
    let found = |then: &[(Account, i64)]| {
        violations(&history, &[], &looks([10, AFTERWARDS], [table(then), Table::new()]))
    };
    assert_eq!(found(&[(ada(), 2)]), Vec::<String>::new());
    assert_only(&found(&[(ada(), 1)]), "fewer versions than acknowledged changes");
    assert_only(&found(&[(ada(), 3)]), "more versions than changes that were asked for");
    assert_only(&found(&[]), "an acknowledged account is lost");
}

#[test]
fn an_email_has_one_row_at_every_look() {
    let history = after_ada([attempt((3, 4), create("ada@x.org", "Eve"), Outcome::Unknown)]);
    let (ada, eve) = (account("1", "ada@x.org", "Ada"), account("2", "ada@x.org", "Eve"));
    let both = table(&[(ada.clone(), 1), (eve, 1)]);
    let found = violations(&history, &[], &looks([10, AFTERWARDS], [both, table(&[(ada, 1)])]));
    assert!(found.iter().any(|why| why.starts_with("an e-mail with two accounts")), "{found:#?}");
}

#[test]
fn a_creation_of_unknown_outcome_stands_for_one_row_which_stays() {
    let bob = || create("bob@x.org", "Bob");
    let row = |id| table(&[(account("1", "ada@x.org", "Ada"), 1), (account(id, "bob@x.org", "Bob"), 1)]);
    let found = |unknown, tables| {
        let attempts = (0..unknown).map(|_| attempt((3, 4), bob(), Outcome::Unknown));
        violations(&after_ada(attempts), &[], &looks([8, 9], tables))
    };
    assert_eq!(found(1, [row("2"), row("2")]), Vec::<String>::new());
    let replaced = found(1, [row("2"), row("3")]);
    assert!(replaced.iter().any(|why| why.starts_with("one creation made several")), "{replaced:#?}");
    assert_only(&found(2, [row("2"), row("3")]), "an account is lost");
}
