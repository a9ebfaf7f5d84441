//! What an answer may say to whom, whatever else happened.

use std::collections::BTreeMap;

use crate::history::{Answer, Call, Grant, Refusal, Request};

/// The answers that show something to the wrong one, or that no right platform gives.
pub(super) fn contradictions(calls: &[Call]) -> Vec<String> {
    let owners = owners(calls);
    let numbers = repeated_numbers(calls);
    let wrong = calls.iter().filter_map(|call| {
        let why = check(call, &owners).err()?;
        Some(format!("{why}: {call}"))
    });
    wrong.chain(numbers).collect()
}

/// Whose each session is, as the logins said.
fn owners(calls: &[Call]) -> BTreeMap<&str, &str> {
    calls
        .iter()
        .filter_map(Call::granted)
        .map(|grant| (grant.session.as_str(), grant.user.as_str()))
        .collect()
}

fn repeated_numbers(calls: &[Call]) -> Vec<String> {
    let mut brought = BTreeMap::new();
    let repeated = calls.iter().filter_map(|call| {
        let first = brought.insert(call.granted()?.number, call)?;
        Some(format!("a token is given twice: {first} and {call}"))
    });
    repeated.collect()
}

fn check(call: &Call, owners: &BTreeMap<&str, &str>) -> Result<(), &'static str> {
    if let Answer::Refused(refusal) = call.answer {
        return check_reason(&call.request, refusal);
    }
    match (&call.request, &call.answer) {
        (_, Answer::Unexpected(_)) => Err("no right platform answers so"),
        (Request::Refresh(with), Answer::Granted(new)) => check_successor(with, new),
        (Request::ShowMe(with) | Request::ChangeMe { with, .. }, Answer::Account(shown)) => {
            if shown.account.id == with.user { Ok(()) } else { Err("a token shows another's account") }
        }
        (Request::ShowUser { with, id }, Answer::Account(_)) => {
            let may = *id == with.user || with.role == OPERATOR;
            if may { Ok(()) } else { Err("a customer is shown another's account") }
        }
        (Request::ListSessions(with), Answer::Sessions(ids)) => {
            let mut known = ids.iter().filter_map(|id| owners.get(id.as_str()));
            let is_own = known.all(|owner| *owner == with.user);
            if is_own { Ok(()) } else { Err("a token shows another's sessions") }
        }
        (Request::EndSession { with, session }, Answer::Done) => {
            let is_own = owners.get(session.as_str()).is_none_or(|owner| *owner == with.user);
            if is_own { Ok(()) } else { Err("a token ends another's session") }
        }
        _ => Ok(()),
    }
}

/// The role whose tokens show every account.
const OPERATOR: &str = "operator";

fn check_successor(with: &Grant, new: &Grant) -> Result<(), &'static str> {
    if new.user != with.user {
        return Err("a refresh gives another's tokens");
    }
    if new.session != with.session { Err("a refresh gives tokens of another session") } else { Ok(()) }
}

/// Whether such a request is ever refused so.
fn check_reason(request: &Request, refusal: Refusal) -> Result<(), &'static str> {
    use Refusal::{Conflict, Forbidden, NotFound, Unauthenticated, WrongPassword};
    let is_right = match request {
        Request::Register { .. } | Request::RotateKeys => refusal == Conflict,
        Request::LogIn { .. } | Request::Refresh(_) | Request::LogOut(_) | Request::ListSessions(_) => {
            refusal == Unauthenticated
        }
        Request::EndSession { .. } | Request::ShowMe(_) | Request::DeleteMe(_) => {
            matches!(refusal, Unauthenticated | NotFound)
        }
        Request::ChangePassword { .. } => matches!(refusal, Unauthenticated | NotFound | WrongPassword),
        Request::ChangeMe { .. } => matches!(refusal, Unauthenticated | NotFound | Conflict),
        Request::ShowUser { with, id } => match refusal {
            Unauthenticated | NotFound => true,
            Forbidden => *id != with.user && with.role != OPERATOR,
            Conflict | WrongPassword => false,
        },
        Request::ChangeRole { .. } => refusal == NotFound,
        Request::ShowKeys => false,
    };
    if is_right { Ok(()) } else { Err("a refusal that such a request never gets") }
}
