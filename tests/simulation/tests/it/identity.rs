//! The checker holds logins, sessions, tokens and keys to their rules, and to nothing else.

mod accounts;
mod gate;
mod sessions;

use simulation::checker;
use simulation::history::{Account, Answer, Call, Grant, History, Micros, RECOVERY, Refusal, Request, Shown};

const SECOND: Micros = 1_000_000;

const UNAUTHENTICATED: Answer = Answer::Refused(Refusal::Unauthenticated);

/// The tokens with this number, of Ada's first session.
fn tokens(number: u32) -> Grant {
    tokens_of(number, "ada", "first")
}

fn tokens_of(number: u32, user: &str, session: &str) -> Grant {
    let (user, session) = (user.to_owned(), session.to_owned());
    Grant { number, user, session, role: "customer".to_owned(), key: "k1".to_owned() }
}

fn granted(number: u32) -> Answer {
    Answer::Granted(tokens(number))
}

fn call((started, ended): (Micros, Micros), request: Request, answer: Answer) -> Call {
    Call { client: "customer".to_owned(), request, started, ended, answer }
}

fn shown(id: &str, email: &str, name: &str) -> Answer {
    shown_as("customer", id, email, name)
}

fn shown_as(role: &str, id: &str, email: &str, name: &str) -> Answer {
    let account = Account { id: id.to_owned(), email: email.to_owned(), name: name.to_owned() };
    Answer::Account(Shown { account, role: role.to_owned(), etag: None })
}

fn register(email: &str, name: &str, password: &str) -> Request {
    Request::Register { email: email.to_owned(), name: name.to_owned(), password: password.to_owned() }
}

fn log_in(email: &str, password: &str) -> Request {
    Request::LogIn { email: email.to_owned(), password: password.to_owned() }
}

fn log_in_ada() -> Request {
    log_in("ada@x.org", "pw1")
}

fn change_password(with: Grant, current: &str, new: &str) -> Request {
    Request::ChangePassword { with, current: current.to_owned(), new: new.to_owned() }
}

fn end_session(with: Grant, session: &str) -> Request {
    Request::EndSession { with, session: session.to_owned() }
}

fn change_role(id: &str, role: &str) -> Request {
    Request::ChangeRole { id: id.to_owned(), role: role.to_owned() }
}

fn ada() -> Answer {
    shown("ada", "ada@x.org", "Ada")
}

/// From when on what is promised of a platform that is well is kept in [`after_login`].
const WELL: Micros = RECOVERY;

/// Ada has an account and is logged in, with tokens 1; then what else happened, in a world that is quiet from 0 on.
fn after_login(more: impl IntoIterator<Item = Call>) -> History {
    let mut history = History::default();
    history.call(call((1, 2), register("ada@x.org", "Ada", "pw1"), ada()));
    history.call(call((3, 4), log_in_ada(), granted(1)));
    more.into_iter().for_each(|call| history.call(call));
    history.circumstances_mut().gateway_starts.push(0);
    history.circumstances_mut().note_quiet(0, true);
    history
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
