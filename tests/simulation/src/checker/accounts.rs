use std::collections::BTreeMap;

use crate::history::{Account, Attempt, Micros, Operation, Outcome};

/// The moments between which something took effect. For an unknown outcome the end is open.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: Micros,
    /// `None`: at any time since, or never.
    to: Option<Micros>,
}

impl Span {
    /// When the request took effect, if it may have at all.
    fn of(attempt: &Attempt) -> Option<Self> {
        match attempt.outcome {
            Outcome::Done(_) => Some(Self { from: attempt.started, to: Some(attempt.ended) }),
            Outcome::Unknown => Some(Self { from: attempt.started, to: None }),
            _ => None,
        }
    }

    fn is_over_before(self, moment: Micros) -> bool {
        self.to.is_some_and(|to| to < moment)
    }
}

/// A value that a request wrote, or may have written.
#[derive(Clone, Debug)]
struct Write<'a> {
    value: &'a str,
    span: Span,
}

/// All that was written to one field of one account.
#[derive(Debug, Default)]
pub(super) struct Field<'a>(Vec<Write<'a>>);

impl Field<'_> {
    /// Whether a read between `from` and `to` may find `value`: it was written by then, and not certainly
    /// overwritten before.
    pub(super) fn may_show(&self, value: &str, from: Micros, to: Micros) -> bool {
        let written = self.0.iter().filter(|write| write.value == value && write.span.from <= to);
        written.clone().any(|write| !self.is_superseded(write, from))
    }

    fn is_superseded(&self, write: &Write<'_>, before: Micros) -> bool {
        self.0
            .iter()
            .any(|next| write.span.is_over_before(next.span.from) && next.span.is_over_before(before))
    }
}

/// What was asked of one acknowledged account.
#[derive(Debug, Default)]
pub(super) struct Life<'a> {
    pub(super) emails: Field<'a>,
    pub(super) names: Field<'a>,
    deletions: Vec<Span>,
    renamings: i64,
}

impl Life<'_> {
    /// Whether the account was certainly gone at `moment`.
    pub(super) fn ended_before(&self, moment: Micros) -> bool {
        self.deletions.iter().any(|deletion| deletion.is_over_before(moment))
    }

    /// Whether the account may have been gone by `moment`.
    pub(super) fn may_have_ended_by(&self, moment: Micros) -> bool {
        self.deletions.iter().any(|deletion| deletion.from <= moment)
    }

    /// The first version is 1, and each acknowledged change of name makes another. A change to the e-mail
    /// that the account has already makes none; a name is never the same.
    pub(super) fn least_version(&self) -> i64 {
        1 + self.renamings
    }

    /// Whether the account had certainly given up the value of `write` before `moment`.
    fn gave_up(&self, write: &Write<'_>, moment: Micros) -> bool {
        self.ended_before(moment) || self.emails.is_superseded(write, moment)
    }

    /// From when to when the account certainly had the e-mail of `write`: from its acknowledgement until
    /// something else may have begun to take it away.
    fn certain(&self, write: &Write<'_>) -> Option<(Micros, Micros)> {
        let start = write.span.to?;
        let others = self.emails.0.iter().filter(|other| other.value != write.value).map(|other| other.span);
        let takers = others.chain(self.deletions.iter().copied());
        let end = takers.filter(|taker| !taker.is_over_before(write.span.from)).map(|taker| taker.from).min();
        let end = end.unwrap_or(Micros::MAX);
        (start < end).then_some((start, end))
    }
}

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
        life.emails.0.push(Write { value: email, span });
        life.names.0.push(Write { value: name, span });
    }

    fn add_change(&mut self, attempt: &'a Attempt) {
        let Some(span) = Span::of(attempt) else { return };
        match &attempt.operation {
            Operation::Update { id, email, name } => {
                let Some(life) = self.lives.get_mut(id.as_str()) else { return };
                life.emails.0.extend(email.iter().map(|value| Write { value, span }));
                life.names.0.extend(name.iter().map(|value| Write { value, span }));
                life.renamings += i64::from(attempt.is_acknowledged() && name.is_some());
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

    /// Whether `account` is what a creation of unknown outcome would have made.
    pub(super) fn may_be_unacknowledged(&self, account: &Account) -> bool {
        self.unacknowledged.iter().any(|(email, name, _)| *email == account.email && *name == account.name)
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

    /// E-mails that two accounts certainly had at one moment.
    pub(super) fn shared_emails(&self) -> Vec<String> {
        let mut held = BTreeMap::<&str, Vec<(Micros, Micros, &str)>>::new();
        for (id, life) in &self.lives {
            for write in &life.emails.0 {
                let Some((from, to)) = life.certain(write) else { continue };
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
