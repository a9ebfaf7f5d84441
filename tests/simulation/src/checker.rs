//! Whether a history could have come from a platform that keeps its word.
//!
//! Nothing here knows how the services work, and nothing assumes more than an answer proves. A request that
//! was acknowledged took effect at some moment between its start and its end; one of unknown outcome took
//! effect at any moment after its start, or never; one that was refused or not done never did. A violation
//! is a contradiction that no choice of those moments resolves.

mod accounts;
mod answers;
mod credentials;
mod edge;
mod gate;
mod keys;
mod life;
mod occasions;
mod outbound;
mod reads;
mod sessions;
mod tables;

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Account, Attempt, Call, Circumstances, History, Micros, Operation, Outcome};

use self::accounts::Accounts;
use self::credentials::Credentials;
use self::gate::Gate;
pub use self::gate::{ACCOUNT_REVOKED_WITHIN, REVOKED_WITHIN};
pub use self::keys::PUBLISHED_WITHIN;
pub use self::occasions::{OCCASIONS, occasions};
pub use self::outbound::{HEALED_WITHIN, MOST_ATTEMPTS};
use self::sessions::Sessions;

/// A row of the service's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What the clients see of it.
    pub account: Account,
    /// How many times it was written.
    pub version: i64,
}

/// The service's table as it was at one moment, by id.
pub type Table = BTreeMap<String, Stored>;

/// A look at the table while nothing in it could be lost any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// When.
    pub at: Micros,
    /// What was there.
    pub table: Table,
}

/// The moment after which nothing happens any more.
pub const AFTERWARDS: Micros = Micros::MAX;

/// Every contradiction, in words that name the requests concerned. `looks` are in the order of time.
pub fn violations(history: &History, looks: &[Look]) -> Vec<String> {
    let calls = history.calls();
    let attempts: Vec<_> = history.attempts().iter().cloned().chain(edge::attempts(calls)).collect();
    let accounts = Accounts::from(&attempts[..]);
    let mut found = Vec::new();
    for attempt in &attempts {
        let checked = check_subject(attempt).and_then(|()| accounts.check_answer(attempt));
        found.extend(checked.err().map(|why| format!("{why}: {attempt}")));
    }
    found.extend(accounts.shared_ids());
    found.extend(accounts.shared_emails());
    found.extend(accounts.repeated_deletions());
    found.extend(reads::gone_back(&attempts, &history.circumstances().power_losses));
    found.extend(tables::contradictions(&accounts, looks));
    found.extend(outbound::contradictions(history));
    found.extend(identity(calls, &accounts, history.circumstances()));
    // What is wrong in one look is mostly wrong in the next.
    let mut told = BTreeSet::new();
    found.retain(|why| told.insert(why.clone()));
    found
}

/// What contradicts the rules for passwords, sessions, tokens and keys.
fn identity(calls: &[Call], accounts: &Accounts<'_>, circumstances: &Circumstances) -> Vec<String> {
    let sessions = Sessions::from(calls);
    let credentials = Credentials::from(calls);
    let gate = Gate::new(calls, &sessions, circumstances);
    let mut found = answers::contradictions(calls);
    for call in calls {
        let checked = credentials.check(call, accounts).and_then(|()| gate.check(call));
        found.extend(checked.err().map(|why| format!("{why}: {call}")));
    }
    found.extend(sessions.contradictions());
    found.extend(keys::contradictions(calls, circumstances));
    found
}

/// Whether the answer is about the account and the fields that were asked for.
fn check_subject(attempt: &Attempt) -> Result<(), &'static str> {
    let Outcome::Done(Some(shown)) = &attempt.outcome else { return Ok(()) };
    let (id, email, name) = match &attempt.operation {
        Operation::Create { email, name } => (None, Some(email), Some(name)),
        Operation::Update { id, email, name } => (Some(id), email.as_ref(), name.as_ref()),
        Operation::Get { id }
        | Operation::SetPassword { id }
        | Operation::SetRole { id, .. }
        | Operation::Delete { id } => (Some(id), None, None),
    };
    let is = |asked: Option<&String>, shown: &String| asked.is_none_or(|asked| asked == shown);
    if !is(id, &shown.id) {
        return Err("the answer shows another account");
    }
    if !is(email, &shown.email) || !is(name, &shown.name) {
        return Err("the answer does not show what was asked for");
    }
    Ok(())
}

impl Accounts<'_> {
    /// Whether the answer to `attempt` can be true.
    fn check_answer(&self, attempt: &Attempt) -> Result<(), &'static str> {
        match (&attempt.operation, &attempt.outcome) {
            (_, Outcome::Unexpected(_)) => Err("no right service answers so"),
            (_, Outcome::NotDone | Outcome::Unknown) | (Operation::Create { .. }, Outcome::Done(Some(_))) => {
                Ok(())
            }
            (Operation::Create { .. }, Outcome::NotFound) => Err("a creation needs no account"),
            (Operation::Get { .. } | Operation::Update { .. }, Outcome::Done(Some(account))) => {
                self.check_seen(account, attempt.started, attempt.ended)
            }
            (Operation::SetPassword { id } | Operation::SetRole { id, .. }, Outcome::Done(_)) => {
                self.check_alteration(id, attempt)
            }
            (Operation::Delete { id }, Outcome::Done(_)) => self.check_deletion(id),
            (_, Outcome::Done(None)) => Err("the answer lacks the account"),
            (Operation::Create { email, .. }, Outcome::EmailTaken) => self.check_taken(email, None, attempt),
            (Operation::Update { id, email: Some(email), .. }, Outcome::EmailTaken) => {
                self.check_taken(email, Some(id), attempt)
            }
            (_, Outcome::EmailTaken) => Err("no e-mail was asked for"),
            (
                Operation::Get { id }
                | Operation::Update { id, .. }
                | Operation::SetPassword { id }
                | Operation::SetRole { id, .. }
                | Operation::Delete { id },
                Outcome::NotFound,
            ) => self.check_missing(id, attempt.ended),
        }
    }

    fn check_seen(&self, seen: &Account, from: Micros, to: Micros) -> Result<(), &'static str> {
        let Some(life) = self.life(&seen.id) else { return Err("an account that nobody made") };
        if life.ended_before(from) {
            return Err("a deleted account is back");
        }
        life.check_shown(seen, from, to)
    }

    fn check_missing(&self, id: &str, until: Micros) -> Result<(), &'static str> {
        match self.life(id) {
            Some(life) if !life.may_have_ended_by(until) => Err("an acknowledged account is lost"),
            _ => Ok(()),
        }
    }

    fn check_alteration(&self, id: &str, attempt: &Attempt) -> Result<(), &'static str> {
        match self.life(id) {
            None => Err("an account that nobody made"),
            Some(life) if life.ended_before(attempt.started) => Err("a deleted account is back"),
            Some(_) => Ok(()),
        }
    }

    fn check_deletion(&self, id: &str) -> Result<(), &'static str> {
        self.life(id).map(drop).ok_or("an account that nobody made")
    }

    fn check_taken(&self, email: &str, by: Option<&str>, attempt: &Attempt) -> Result<(), &'static str> {
        if self.may_be_held(email, by, attempt) { Ok(()) } else { Err("nobody can have the e-mail") }
    }
}
