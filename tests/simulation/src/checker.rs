//! Whether a history could have come from a service that keeps its word.
//!
//! Nothing here knows how the service works, and nothing assumes more than an answer proves. A request that
//! was acknowledged took effect at some moment between its start and its end; one of unknown outcome took
//! effect at any moment after its start, or never; one that was refused or not done never did. A violation
//! is a contradiction that no choice of those moments resolves.

mod accounts;

use std::collections::BTreeMap;

use crate::history::{Account, Attempt, Micros, Operation, Outcome};

use self::accounts::Accounts;

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

/// Every contradiction, in words that name the requests concerned.
///
/// `tables` are what the database held from time to time, the last one after everything else had ended.
pub fn violations(attempts: &[Attempt], tables: &[Table]) -> Vec<String> {
    let accounts = Accounts::from(attempts);
    let mut found = Vec::new();
    for attempt in attempts {
        found.extend(accounts.check_answer(attempt).err().map(|why| format!("{why}: {attempt}")));
    }
    found.extend(accounts.shared_ids());
    found.extend(accounts.shared_emails());
    if let Some(table) = tables.last() {
        found.extend(accounts.check_table(table));
    }
    found.extend(tables.windows(2).flat_map(|pair| setbacks(&pair[0], &pair[1])));
    found
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
            (Operation::Delete { id }, Outcome::Done(_)) => self.check_deletion(id, attempt),
            (_, Outcome::Done(None)) => Err("the answer lacks the account"),
            (Operation::Create { email, .. }, Outcome::EmailTaken) => self.check_taken(email, None, attempt),
            (Operation::Update { id, email: Some(email), .. }, Outcome::EmailTaken) => {
                self.check_taken(email, Some(id), attempt)
            }
            (_, Outcome::EmailTaken) => Err("no e-mail was asked for"),
            (
                Operation::Get { id } | Operation::Update { id, .. } | Operation::Delete { id },
                Outcome::NotFound,
            ) => self.check_missing(id, attempt.ended),
        }
    }

    fn check_seen(&self, seen: &Account, from: Micros, to: Micros) -> Result<(), &'static str> {
        let Some(life) = self.life(&seen.id) else { return Err("an account that nobody made") };
        if life.ended_before(from) {
            return Err("a deleted account is back");
        }
        if !life.emails.may_show(&seen.email, from, to) {
            return Err("an e-mail that the account cannot have then");
        }
        if !life.names.may_show(&seen.name, from, to) {
            return Err("a name that the account cannot have then");
        }
        Ok(())
    }

    fn check_missing(&self, id: &str, until: Micros) -> Result<(), &'static str> {
        match self.life(id) {
            Some(life) if !life.may_have_ended_by(until) => Err("an acknowledged account is lost"),
            _ => Ok(()),
        }
    }

    fn check_deletion(&self, id: &str, attempt: &Attempt) -> Result<(), &'static str> {
        match self.life(id) {
            Some(life) if life.ended_before(attempt.started) => Err("an account is deleted twice"),
            Some(_) => Ok(()),
            None => Err("an account that nobody made"),
        }
    }

    fn check_taken(&self, email: &str, by: Option<&str>, attempt: &Attempt) -> Result<(), &'static str> {
        if self.may_be_held(email, by, attempt) { Ok(()) } else { Err("nobody can have the e-mail") }
    }

    /// Whether the table holds every account that must be there, and none that cannot.
    fn check_table(&self, table: &Table) -> Vec<String> {
        const AFTERWARDS: Micros = Micros::MAX;
        let rows = table.values().filter_map(|Stored { account, version }| {
            let checked = match self.life(&account.id) {
                Some(life) if *version < life.least_version() => {
                    Err("fewer versions than acknowledged changes")
                }
                Some(_) => self.check_seen(account, AFTERWARDS, AFTERWARDS),
                None if self.may_be_unacknowledged(account) => Ok(()),
                None => Err("an account that nobody made"),
            };
            checked.err().map(|why| format!("{why}: the table holds {account:?} in version {version}"))
        });
        let missing = self.lives().filter(|(id, _)| !table.contains_key(*id)).filter_map(|(id, life)| {
            let lost = !life.may_have_ended_by(AFTERWARDS);
            lost.then(|| format!("an acknowledged account is lost: the table lacks {id}"))
        });
        rows.chain(missing).chain(doubles(table)).collect()
    }
}

fn doubles(table: &Table) -> Vec<String> {
    let mut owners = BTreeMap::<_, &str>::new();
    let doubled = table.values().filter_map(|Stored { account, .. }| {
        let other = owners.insert(&account.email, &account.id)?;
        Some(format!("an e-mail with two accounts: {} has {other} and {}", account.email, account.id))
    });
    doubled.collect()
}

fn setbacks(earlier: &Table, later: &Table) -> Vec<String> {
    let fell = later.iter().filter_map(|(id, now)| {
        let before = earlier.get(id)?;
        let set_back =
            now.version < before.version || (now.version == before.version && now.account != before.account);
        set_back.then(|| format!("a version does not grow: {before:?} became {now:?}"))
    });
    fell.collect()
}
