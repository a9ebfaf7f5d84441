//! Whether there is an order in which everything that was told of a session is true.

use std::collections::BTreeSet;

use crate::history::{Call, Micros};

use super::super::life::Span;
use super::rule::{Act, State};

/// Something that happened to a session, or may have.
#[derive(Clone, Debug)]
pub(super) struct Step<'a> {
    pub(super) act: Act,
    /// Where the end is open, it may also never have happened.
    pub(super) span: Span,
    /// Where it comes from.
    pub(super) call: &'a Call,
}

/// Why there is no such order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stuck<'a> {
    /// However far one gets, this cannot be next.
    At(&'a Step<'a>),
    /// There are too many orders to try.
    TooMany,
}

/// Looks for an order of the steps in which each is possible after those before it.
pub(super) fn explain<'a>(steps: &'a [Step<'a>]) -> Result<(), Stuck<'a>> {
    let mut search = Search { steps, seen: BTreeSet::new(), best: None };
    match search.explore(&mut vec![false; steps.len()], &State::default()) {
        Found::Order => Ok(()),
        Found::TooMany => Err(Stuck::TooMany),
        Found::None => Err(search.best.map_or(Stuck::TooMany, |(_, step)| Stuck::At(&steps[step]))),
    }
}

/// Far more than any session of a right service takes, whose orders are found at nearly the first try.
const MOST_STATES: usize = 200_000;

struct Search<'a> {
    steps: &'a [Step<'a>],
    seen: BTreeSet<(Vec<bool>, State)>,
    /// The most steps that certainly happened and were done, and which was due then.
    best: Option<(usize, usize)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Order,
    None,
    TooMany,
}

impl Search<'_> {
    fn explore(&mut self, done: &mut Vec<bool>, state: &State) -> Found {
        if self.seen.len() >= MOST_STATES {
            return Found::TooMany;
        }
        if !self.seen.insert((done.clone(), state.clone())) {
            return Found::None;
        }
        let Some((next, horizon)) = self.due(done) else { return Found::Order };
        let certain = || self.steps.iter().zip(&*done).filter(|(step, _)| step.span.to.is_some());
        let count = certain().filter(|(_, done)| **done).count();
        self.best = self.best.max(Some((count, next)));
        // Else every order of what may never have happened would be tried in vain.
        if certain().any(|(step, done)| !*done && state.rules_out(&step.act)) {
            return Found::None;
        }
        // What must come first is tried first; what may never have happened, last.
        for step in self.candidates(done, horizon) {
            let Step { act, span, .. } = &self.steps[step];
            // What comes before that which is due is over by then.
            let to = Some(span.to.map_or(horizon, |to| to.min(horizon)));
            for after in state.after(act, Span { to, ..*span }) {
                done[step] = true;
                let found = self.explore(done, &after);
                done[step] = false;
                if found != Found::None {
                    return found;
                }
            }
        }
        Found::None
    }

    /// Of those that certainly happened and are not done, the one that was over first, and when.
    fn due(&self, done: &[bool]) -> Option<(usize, Micros)> {
        let open = self.steps.iter().enumerate().filter(|(index, _)| !done[*index]);
        let certain = open.filter_map(|(index, step)| Some((index, step.span.to?)));
        certain.min_by_key(|(_, to)| *to)
    }

    /// What may be next: nothing is over before it began.
    fn candidates(&self, done: &[bool], horizon: Micros) -> Vec<usize> {
        let may_be_next = |index: &usize| !done[*index] && self.steps[*index].span.from <= horizon;
        let mut candidates: Vec<_> = (0..self.steps.len()).filter(may_be_next).collect();
        candidates.sort_by_key(|index| self.steps[*index].span.to.unwrap_or(Micros::MAX));
        candidates
    }
}
