//! What services send to each other: in time, to whom it may go, and not too often.

mod breakers;
mod budget;
mod deadlines;
mod doubts;
mod healing;

use std::collections::BTreeMap;
use std::fmt;

use proto::Repeatable;
use service_client::{Outcome, What};

use crate::history::{Edge, History, Micros, Sight};

pub use self::budget::MOST_ATTEMPTS;
pub use self::healing::HEALED_WITHIN;

/// All requests between services.
#[derive(Debug, Default)]
pub(super) struct Requests<'a>(BTreeMap<Edge, Vec<Request<'a>>>);

/// What happened to a request.
#[derive(Debug)]
struct Request<'a> {
    edge: Edge,
    path: &'a str,
    repeatable: Repeatable,
    began: Micros,
    /// By when its answer is worth having.
    deadline: Micros,
    /// With the place that each has among all that happened.
    events: Vec<(usize, Micros, &'a What)>,
}

/// Every contradiction to the rules for requests between services.
pub(super) fn contradictions(history: &History) -> Vec<String> {
    let requests = Requests::from(history.sights());
    let mut found = deadlines::missed(&requests);
    found.extend(doubts::repeated(&requests));
    found.extend(breakers::passed(&requests));
    found.extend(budget::overdrawn(&requests));
    found.extend(healing::left_out(&requests, history));
    found
}

impl<'a> Requests<'a> {
    pub(super) fn from(sights: &'a [Sight]) -> Self {
        let (mut edges, mut requests) = (BTreeMap::new(), Self::default());
        for (place, Sight { at, caller, event }) in sights.iter().enumerate() {
            if let What::Began { callee, protocol, path, repeatable, left } = &event.what {
                let edge = Edge { caller: *caller, callee: callee.clone(), protocol };
                let of_edge = requests.0.entry(edge.clone()).or_default();
                edges.insert((*caller, event.request), (edge.clone(), of_edge.len()));
                let deadline = at.saturating_add(micros(*left));
                let (began, repeatable, events) = (*at, *repeatable, Vec::new());
                of_edge.push(Request { edge, path, repeatable, began, deadline, events });
            } else if let Some((edge, index)) = edges.get(&(*caller, event.request))
                && let Some(request) = requests.0.get_mut(edge).and_then(|of_edge| of_edge.get_mut(*index))
            {
                request.events.push((place, *at, &event.what));
            }
        }
        requests
    }

    fn all(&self) -> impl Iterator<Item = &Request<'a>> {
        self.0.values().flatten()
    }

    fn events(&self) -> impl Iterator<Item = &'a What> {
        self.all().flat_map(|request| request.events.iter().map(|(.., what)| *what))
    }

    /// How often each kind of [`OCCASIONS`](super::OCCASIONS) came that is about requests between services.
    pub(super) fn count(&self, count: &mut impl FnMut(&'static str, u32)) {
        count("request between services", number(self.all().filter(|request| request.was_sent()).count()));
        count("doubtful request not repeated", number(self.all().filter(|it| it.is_left_in_doubt()).count()));
        for what in self.events() {
            match what {
                What::Sent { number: 2.., .. } => count("attempt repeated", 1),
                What::Came(Outcome::Silent) => count("silent instance left", 1),
                _ => {}
            }
        }
        breakers::count(self, count);
    }
}

impl Request<'_> {
    fn was_sent(&self) -> bool {
        self.events.iter().any(|(.., what)| matches!(what, What::Sent { .. }))
    }

    /// How often it was sent; over several connections, of which only the last one took it, is once.
    fn attempts(&self) -> usize {
        let number = |(_, _, what): &(usize, Micros, &What)| match what {
            What::Sent { number, .. } => *number,
            _ => 0,
        };
        let mut numbers: Vec<_> = self.events.iter().map(number).filter(|number| *number > 0).collect();
        numbers.dedup();
        numbers.len()
    }

    /// Whether it might have been sent again if that did no harm.
    fn is_left_in_doubt(&self) -> bool {
        self.repeatable == Repeatable::No
            && self.events.iter().any(|(.., what)| matches!(what, What::Came(Outcome::Unknown)))
    }
}

impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { edge, path, began, deadline, events, .. } = self;
        write!(f, "{path} of {edge}, begun at {began}, due at {deadline}: {events:?}")
    }
}

fn micros(duration: std::time::Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
