//! What calls mean for accounts, in the words of the requests that user-service itself gets.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Account, Answer, Attempt, Call, Operation, Outcome, Refusal, Request};

/// The requests about accounts that the calls come to.
pub(super) fn attempts(calls: &[Call]) -> Vec<Attempt> {
    let proofs = proofs(calls);
    let all = calls.iter().enumerate();
    all.filter_map(|(index, call)| attempt(call, proofs.get(&index).copied())).collect()
}

/// Registrations of unknown outcome that a login has proved, by their place among the calls: no other registration
/// has the password. Of several tries the first one stands for all.
pub(super) fn proofs(calls: &[Call]) -> BTreeMap<usize, &Call> {
    let (mut told, mut open) = (BTreeSet::new(), BTreeMap::new());
    for (index, call) in calls.iter().enumerate() {
        match (&call.request, &call.answer) {
            (Request::Register { .. }, Answer::Account(shown)) => drop(told.insert(&shown.account.id)),
            (Request::Register { password, .. }, Answer::Unknown) => {
                open.entry(password).or_insert(index);
            }
            _ => {}
        }
    }
    let mut proofs = BTreeMap::new();
    for call in calls {
        if let (Request::LogIn { password, .. }, Some(grant)) = (&call.request, call.granted())
            && told.insert(&grant.user)
            && let Some(index) = open.remove(password)
        {
            proofs.insert(index, call);
        }
    }
    proofs
}

fn attempt(call: &Call, proof: Option<&Call>) -> Option<Attempt> {
    let Call { client, started, ended, .. } = call.clone();
    let operation = operation(&call.request)?;
    if let (Operation::Create { email, name }, Some((login, grant))) =
        (&operation, proof.and_then(|login| Some((login, login.granted()?))))
    {
        let account = Account { id: grant.user.clone(), email: email.clone(), name: name.clone() };
        let outcome = Outcome::Done(Some(account));
        return Some(Attempt { client, operation, started, ended: login.ended, outcome });
    }
    Some(Attempt { client, operation, started, ended, outcome: outcome(&call.answer)? })
}

fn operation(request: &Request) -> Option<Operation> {
    Some(match request.clone() {
        Request::Register { email, name, .. } => Operation::Create { email, name },
        Request::ShowMe(with) => Operation::Get { id: with.user },
        Request::ShowUser { id, .. } => Operation::Get { id },
        Request::ChangeMe { with, email, name, .. } => Operation::Update { id: with.user, email, name },
        Request::DeleteMe(with) => Operation::Delete { id: with.user },
        Request::ChangePassword { with, .. } => Operation::SetPassword { id: with.user },
        Request::ChangeRole { id, role } => Operation::SetRole { id, role },
        _ => return None,
    })
}

/// `None` where the answer says nothing about an account.
fn outcome(answer: &Answer) -> Option<Outcome> {
    match answer {
        Answer::Done => Some(Outcome::Done(None)),
        Answer::Account(shown) => Some(Outcome::Done(Some(shown.account.clone()))),
        Answer::Refused(Refusal::NotFound) => Some(Outcome::NotFound),
        Answer::Refused(Refusal::Conflict) => Some(Outcome::EmailTaken),
        Answer::Unknown => Some(Outcome::Unknown),
        _ => None,
    }
}
