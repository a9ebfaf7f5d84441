//! The stated rule for refresh tokens, as a machine with one state per session.
//!
//! Each refresh spends its token and yields the next. A spent token yields once more within [`GRACE`] of being
//! spent, if what it yielded was never used, which then never yields anything. Whoever uses a token otherwise ends
//! the session.

use std::collections::BTreeMap;

use crate::history::Micros;

use super::super::life::Span;

/// How long after it was spent a token may yield once more, for an answer that was lost.
pub(crate) const GRACE: Micros = 10_000_000;

/// A token, by the number of the answer that brought it. Those that nobody received have numbers of their own.
pub(super) type Token = u32;

/// What happened to a session, or may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// A login made it, with this token.
    Begin(Token),
    /// A refresh token was used.
    Refresh(Token, Told),
    /// It was ended, if it had not been before.
    End,
    /// It was found to go on, and ended.
    EndFound,
    /// Its account was deleted: there are no more tokens, and the session ends soon.
    Orphan,
    /// It was seen in its user's list.
    Listed,
    /// It was not seen there, or not found to be ended.
    Missing,
}

/// What a refresh was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// New tokens.
    Granted(Token),
    /// The token proves nothing.
    Refused,
    /// Nothing that anybody heard; if there was a new token, it has this number.
    Nothing(Token),
}

/// A session between two acts.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct State {
    has_begun: bool,
    has_ended: bool,
    is_orphaned: bool,
    tokens: BTreeMap<Token, Use>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    Unused,
    Spent {
        from: Micros,
        to: Option<Micros>,
        successor: Token,
        again: bool,
    },
    /// It was on its way when its predecessor yielded again.
    Void,
}

/// What the rule makes of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Yields,
    YieldsAgain,
    EndsAll,
    /// All has ended before.
    Nothing,
}

impl State {
    /// The states after the act, if it happened within `span` and was answered truly; none where that is impossible.
    pub(super) fn after(&self, act: &Act, span: Span) -> Vec<Self> {
        match act {
            Act::Begin(_) if self.has_begun => Vec::new(),
            Act::Begin(token) => {
                let mut next = self.clone();
                next.has_begun = true;
                next.tokens.insert(*token, Use::Unused);
                vec![next]
            }
            Act::Refresh(token, told) => {
                let fates = self.fates(*token, span);
                fates.into_iter().filter_map(|fate| self.refreshed(*token, *told, fate, span)).collect()
            }
            Act::End => vec![Self { has_ended: true, ..self.clone() }],
            Act::EndFound if self.has_begun && !self.has_ended => {
                vec![Self { has_ended: true, ..self.clone() }]
            }
            Act::Orphan => vec![Self { is_orphaned: true, ..self.clone() }],
            Act::Listed if self.has_begun && !self.has_ended => vec![self.clone()],
            Act::Missing if !self.has_begun || self.has_ended || self.is_orphaned => vec![self.clone()],
            Act::EndFound | Act::Listed | Act::Missing => Vec::new(),
        }
    }

    /// Whether the act has become impossible, whatever comes before it: an end is for good.
    pub(super) fn rules_out(&self, act: &Act) -> bool {
        match act {
            Act::Refresh(_, Told::Granted(_)) => self.has_ended || self.is_orphaned,
            Act::EndFound | Act::Listed => self.has_ended,
            _ => false,
        }
    }

    /// What may come of using `token`; more than one thing where the moments leave the grace open.
    fn fates(&self, token: Token, now: Span) -> Vec<Fate> {
        if !self.has_begun {
            return Vec::new();
        }
        if self.has_ended || self.is_orphaned {
            return vec![Fate::Nothing];
        }
        match self.tokens.get(&token) {
            // The answer that brought it is still to come.
            None => Vec::new(),
            Some(Use::Unused) => vec![Fate::Yields],
            Some(Use::Void) => vec![Fate::EndsAll],
            Some(Use::Spent { from, to, successor, again }) => {
                let is_successor_unused = self.tokens.get(successor) == Some(&Use::Unused);
                if *again || !is_successor_unused {
                    return vec![Fate::EndsAll];
                }
                let least = to.map_or(0, |to| now.from.saturating_sub(to));
                let most = now.to.map_or(Micros::MAX, |to| to.saturating_sub(*from));
                let mut fates = Vec::new();
                fates.extend((least <= GRACE).then_some(Fate::YieldsAgain));
                fates.extend((most >= GRACE).then_some(Fate::EndsAll));
                fates
            }
        }
    }

    fn refreshed(&self, token: Token, told: Told, fate: Fate, span: Span) -> Option<Self> {
        let mut next = self.clone();
        match (fate, told) {
            (Fate::Nothing, Told::Granted(_)) | (Fate::EndsAll, Told::Granted(_)) => return None,
            (Fate::Yields | Fate::YieldsAgain, Told::Refused) => return None,
            (Fate::Nothing, Told::Refused | Told::Nothing(_)) => {}
            (Fate::EndsAll, Told::Refused | Told::Nothing(_)) => next.has_ended = true,
            (Fate::Yields, Told::Granted(new) | Told::Nothing(new)) => {
                let (from, to) = (span.from, span.to);
                next.tokens.insert(token, Use::Spent { from, to, successor: new, again: false });
                next.tokens.insert(new, Use::Unused);
            }
            (Fate::YieldsAgain, Told::Granted(new) | Told::Nothing(new)) => next.replace(token, new),
        }
        Some(next)
    }

    /// Makes `new` the successor of a spent token, in the place of the one before.
    fn replace(&mut self, token: Token, new: Token) {
        if let Some(Use::Spent { successor, again, .. }) = self.tokens.get_mut(&token) {
            let void = std::mem::replace(successor, new);
            *again = true;
            self.tokens.insert(void, Use::Void);
            self.tokens.insert(new, Use::Unused);
        }
    }
}
