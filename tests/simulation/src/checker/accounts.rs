use std::collections::BTreeMap;

use crate::history::{Account, Attempt, Micros, Operation, Outcome};

use super::credentials::FIRST_ROLE;
use super::life::{Life, Span, Write};

/// The history by account.
#[derive(Debug, Default)]
pub(super) struct Accounts<'a> {
    lives: BTreeMap<&'a str, Life<'a>>,
    /// Creations of unknown outcome: an account that may be there, under an id that nobody was told.
    unacknowledged: Vec<(&'a str, &'a str, Span)>,
    shared_ids: Vec<String>,
}

impl<'a> From<&'a [Attempt]> for Accounts<'a> {
    fn from(attempts: &'a [Attempt]) -> Self {
        let mut accounts = Self::default();
        attempts.iter().for_each(|attempt| accounts.add_creation(attempt));
        attempts.iter().for_each(|attempt| accounts.add_change(attempt));
        accounts
    }
}

impl<'a> Accounts<'a> {
    fn add_creation(&mut self, attempt: &'a Attempt) {
        let Operation::Create { email, name } = &attempt.operation else { return };
        let Some(span) = Span::of(attempt) else { return };
        let Outcome::Done(Some(made)) = &attempt.outcome else {
            return self.unacknowledged.push((email, name, span));
        };
        if self.lives.contains_key(made.id.as_str()) {
            self.shared_ids.push(format!("an id was given twice: {attempt}"));
        }
        let life = self.lives.entry(&made.id).or_default();
        life.emails.0.push(Write { value: email, beside: Some(name), span });
        life.names.0.push(Write { value: name, beside: Some(email), span });
        life.roles.0.push(Write { value: FIRST_ROLE, beside: None, span });
    }

    fn add_change(&mut self, attempt: &'a Attempt) {
        let Some(span) = Span::of(attempt) else { return };
        match &attempt.operation {
            Operation::Update { id, email, name } => {
                let Some(life) = self.lives.get_mut(id.as_str()) else { return };
                let (email, name) = (email.as_deref(), name.as_deref());
                life.emails.0.extend(email.map(|value| Write { value, beside: name, span }));
                life.names.0.extend(name.map(|value| Write { value, beside: email, span }));
                life.changes.push(span);
                life.renewals.extend(name.filter(|_| attempt.is_acknowledged()).map(|_| span));
            }
            Operation::SetPassword { id } => {
                let Some(life) = self.lives.get_mut(id.as_str()) else { return };
                life.changes.push(span);
                life.renewals.extend(attempt.is_acknowledged().then_some(span));
            }
            Operation::SetRole { id, role } => {
                let Some(life) = self.lives.get_mut(id.as_str()) else { return };
                life.roles.0.push(Write { value: role, beside: None, span });
                life.changes.push(span);
            }
            Operation::Delete { id } => {
                let Some(life) = self.lives.get_mut(id.as_str()) else { return };
                life.deletions.push(span);
            }
            Operation::Create { .. } | Operation::Get { .. } => {}
        }
    }

    pub(super) fn life(&self, id: &str) -> Option<&Life<'a>> {
        self.lives.get(id)
    }

    pub(super) fn lives(&self) -> impl Iterator<Item = (&str, &Life<'a>)> {
        self.lives.iter().map(|(id, life)| (*id, life))
    }

    /// How many creations of unknown outcome, begun by `moment`, would have made `account`.
    pub(super) fn unacknowledged(&self, account: &Account, moment: Micros) -> usize {
        let is_it = |(email, name, span): &&(&str, &str, Span)| {
            *email == account.email && *name == account.name && span.from <= moment
        };
        self.unacknowledged.iter().filter(is_it).count()
    }

    /// Whether an account other than `by` may have had the e-mail while `attempt` was under way.
    pub(super) fn may_be_held(&self, email: &str, by: Option<&str>, attempt: &Attempt) -> bool {
        let unacknowledged = self
            .unacknowledged
            .iter()
            .any(|(wanted, _, span)| *wanted == email && span.from <= attempt.ended);
        let others = self.lives.iter().filter(|(id, _)| Some(**id) != by);
        unacknowledged
            || others.into_iter().any(|(_, life)| {
                let mut writes = life.emails.0.iter().filter(|write| write.value == email);
                writes.any(|write| write.span.from <= attempt.ended && !life.gave_up(write, attempt.started))
            })
    }

    pub(super) fn shared_ids(&self) -> Vec<String> {
        self.shared_ids.clone()
    }

    /// Accounts of which more than one deletion was acknowledged: whoever comes second finds none.
    pub(super) fn repeated_deletions(&self) -> Vec<String> {
        let acknowledged = |life: &Life<'_>| life.deletions.iter().filter(|it| it.to.is_some()).count();
        let repeated = self.lives().filter(|(_, life)| acknowledged(life) > 1);
        repeated.map(|(id, _)| format!("an account is deleted twice: {id}")).collect()
    }

    /// E-mails that two accounts certainly had at one moment.
    pub(super) fn shared_emails(&self) -> Vec<String> {
        let mut held = BTreeMap::<&str, Vec<(Micros, Micros, &str)>>::new();
        for (id, life) in &self.lives {
            for write in &life.emails.0 {
                let Some((from, to)) = life.emails.certain(write, &life.deletions) else { continue };
                held.entry(write.value).or_default().push((from, to, id));
            }
        }
        let mut shared = Vec::new();
        for (email, spans) in held {
            for (index, one) in spans.iter().enumerate() {
                let others = spans[index + 1..].iter().filter(|other| other.2 != one.2);
                let at_once = others.filter(|other| one.0.max(other.0) < one.1.min(other.1));
                shared.extend(at_once.map(|other| {
                    format!("an e-mail with two accounts: {email} has {} and {}", one.2, other.2)
                }));
            }
        }
        shared
    }
}
