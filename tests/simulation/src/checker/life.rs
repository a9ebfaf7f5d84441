use crate::history::{Account, Attempt, Micros, Outcome};

/// The moments between which something took effect. For an unknown outcome the end is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) from: Micros,
    /// `None`: at any time since, or never.
    pub(super) to: Option<Micros>,
}

impl Span {
    /// When the request took effect, if it may have at all.
    pub(super) fn of(attempt: &Attempt) -> Option<Self> {
        match attempt.outcome {
            Outcome::Done(_) => Some(Self { from: attempt.started, to: Some(attempt.ended) }),
            Outcome::Unknown => Some(Self { from: attempt.started, to: None }),
            _ => None,
        }
    }

    pub(super) fn is_over_before(self, moment: Micros) -> bool {
        self.to.is_some_and(|to| to < moment)
    }
}

/// A value that a request wrote, or may have written.
#[derive(Clone, Debug)]
pub(super) struct Write<'a> {
    pub(super) value: &'a str,
    /// What the same request wrote to the other field.
    pub(super) beside: Option<&'a str>,
    pub(super) span: Span,
}

impl Write<'_> {
    /// Whether a read can find this value and that of `other`, which is of the other field. What was written
    /// together is found together, until one of the two was written again.
    fn goes_with(&self, other: &Self) -> bool {
        let is_replaced = |beside: Option<&str>, by: &str| beside.is_some_and(|beside| beside != by);
        match (is_replaced(self.beside, other.value), is_replaced(other.beside, self.value)) {
            (true, true) => false,
            (true, false) => !other.span.is_over_before(self.span.from),
            (false, true) => !self.span.is_over_before(other.span.from),
            (false, false) => true,
        }
    }
}

/// All that was written to one field of one account.
#[derive(Debug, Default)]
pub(super) struct Field<'a>(pub(super) Vec<Write<'a>>);

impl<'a> Field<'a> {
    /// The writes of which a read between `from` and `to` may find `value`: done by then, and not certainly
    /// overwritten before.
    pub(super) fn shown(&self, value: &str, from: Micros, to: Micros) -> Vec<&Write<'a>> {
        let written = self.0.iter().filter(|write| write.value == value && write.span.from <= to);
        written.filter(|write| !self.is_superseded(write, from)).collect()
    }

    pub(super) fn is_superseded(&self, write: &Write<'_>, before: Micros) -> bool {
        self.0
            .iter()
            .any(|next| write.span.is_over_before(next.span.from) && next.span.is_over_before(before))
    }

    /// From when to when the field certainly had the value of `write`: from its acknowledgement until something else
    /// may have begun to take it away, be it another write or one of the `ends`.
    pub(super) fn certain(&self, write: &Write<'_>, ends: &[Span]) -> Option<(Micros, Micros)> {
        let start = write.span.to?;
        let others = self.0.iter().filter(|other| other.value != write.value).map(|other| other.span);
        let takers = others.chain(ends.iter().copied());
        let end = takers.filter(|taker| !taker.is_over_before(write.span.from)).map(|taker| taker.from).min();
        let end = end.unwrap_or(Micros::MAX);
        (start < end).then_some((start, end))
    }

    /// Whether the field certainly had the value from `from` to `to`.
    pub(super) fn certainly_was(&self, value: &str, ends: &[Span], from: Micros, to: Micros) -> bool {
        let written = self.0.iter().filter(|write| write.value == value);
        let mut spans = written.filter_map(|write| self.certain(write, ends));
        spans.any(|(start, end)| start < from && to < end)
    }
}

/// What was asked of one acknowledged account.
#[derive(Debug, Default)]
pub(super) struct Life<'a> {
    pub(super) emails: Field<'a>,
    pub(super) names: Field<'a>,
    pub(super) roles: Field<'a>,
    pub(super) deletions: Vec<Span>,
    pub(super) changes: Vec<Span>,
    /// The changes that were acknowledged and set a name or a password, which is never the one that the account had.
    pub(super) renewals: Vec<Span>,
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

    /// Whether the account was certainly there at `moment`, if nobody has deleted it.
    pub(super) fn began_before(&self, moment: Micros) -> bool {
        self.names.0.first().is_some_and(|made| made.span.is_over_before(moment))
    }

    /// Whether a read between `from` and `to` may find these values, and both together.
    pub(super) fn check_shown(&self, seen: &Account, from: Micros, to: Micros) -> Result<(), &'static str> {
        let emails = self.emails.shown(&seen.email, from, to);
        let names = self.names.shown(&seen.name, from, to);
        if emails.is_empty() {
            return Err("an e-mail that the account cannot have then");
        }
        if names.is_empty() {
            return Err("a name that the account cannot have then");
        }
        let is_whole = emails.iter().any(|email| names.iter().any(|name| email.goes_with(name)));
        if is_whole { Ok(()) } else { Err("half of a change") }
    }

    /// The first version is 1, and each acknowledged change that surely changed something makes another. A change to
    /// the e-mail or the role that the account has already makes none.
    pub(super) fn least_version(&self, at: Micros) -> usize {
        let changes = self.renewals.iter().copied().chain(self.conversions());
        1 + changes.filter(|change| change.is_over_before(at)).count()
    }

    /// The changes of role that began while the account certainly had another, which it surely had no longer when they
    /// were over. No two stand for one change, since the operator asks for one thing after the other.
    fn conversions(&self) -> impl Iterator<Item = Span> {
        let roles = &self.roles.0;
        let gives_way = |before: &Write<'_>, change: &Write<'_>| {
            let certain = self.roles.certain(before, &[]);
            before.value != change.value && certain.is_some_and(|(_, end)| end == change.span.from)
        };
        let changes = roles.iter().filter(move |change| roles.iter().any(|before| gives_way(before, change)));
        changes.map(|change| change.span)
    }

    /// No change makes more than one version.
    pub(super) fn most_version(&self, at: Micros) -> usize {
        1 + self.changes.iter().filter(|change| change.from <= at).count()
    }

    /// Whether the account had certainly given up the value of `write` before `moment`.
    pub(super) fn gave_up(&self, write: &Write<'_>, moment: Micros) -> bool {
        self.ended_before(moment) || self.emails.is_superseded(write, moment)
    }
}
