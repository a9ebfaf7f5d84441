use std::collections::BTreeMap;
use std::net::SocketAddr;

use resilience::{BreakerConfig, Change};
use service_client::What;

use super::{Requests, micros};
use crate::history::{Edge, Micros};

/// What is known of an instance's circuit breaker by what it let in.
#[derive(Clone, Copy, Debug, Default)]
struct Breaker {
    /// Since when it is open while it is not closed: a trial that does not close it opens it anew.
    opened: Option<Micros>,
    is_tried: bool,
}

/// Requests that went to an instance whose circuit breaker should have kept them from it.
pub(super) fn passed(requests: &Requests<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (edge, events) in in_order(requests) {
        let mut breakers = BTreeMap::<SocketAddr, Breaker>::new();
        for (at, what) in events {
            let checked = match what {
                What::Chosen { addr, is_trial } => breakers.entry(*addr).or_default().enter(at, *is_trial),
                What::Left { addr, is_trial, change } => {
                    breakers.entry(*addr).or_default().leave(at, *is_trial, *change);
                    Ok(())
                }
                _ => Ok(()),
            };
            found.extend(checked.err().map(|why| format!("{why}: {edge} at {at}, {what:?}")));
        }
    }
    found
}

impl Breaker {
    fn enter(&mut self, at: Micros, is_trial: bool) -> Result<(), &'static str> {
        let pause = micros(BreakerConfig::default().pause);
        match self.opened {
            Some(_) if !is_trial => Err("an instance is sent to whose circuit breaker is open"),
            Some(_) if self.is_tried => Err("an instance is tried by two requests at once"),
            Some(since) if at < since + pause => Err("an instance is tried before its pause is over"),
            None if is_trial => Err("an instance is tried whose circuit breaker never opened"),
            _ => {
                self.is_tried = is_trial;
                Ok(())
            }
        }
    }

    fn leave(&mut self, at: Micros, is_trial: bool, change: Option<Change>) {
        self.is_tried &= !is_trial;
        match change {
            Some(Change::Opened) => self.opened = Some(at),
            Some(Change::Closed) => self.opened = None,
            Some(Change::HalfOpened) | None if is_trial && self.opened.is_some() => self.opened = Some(at),
            Some(Change::HalfOpened) | None => {}
        }
    }
}

pub(super) fn count(requests: &Requests<'_>, count: &mut impl FnMut(&'static str, u32)) {
    for what in requests.events() {
        let What::Left { is_trial, change: Some(change), .. } = what else { continue };
        match change {
            Change::Opened if *is_trial => count("trial failed", 1),
            Change::Opened => count("breaker opened", 1),
            Change::Closed => count("breaker closed again", 1),
            Change::HalfOpened => {}
        }
    }
}

/// What happened to the requests of each way.
fn in_order<'a, 'b>(requests: &'b Requests<'a>) -> impl Iterator<Item = (&'b Edge, Vec<(Micros, &'a What)>)> {
    requests.0.iter().map(|(edge, requests)| {
        let mut events: Vec<_> = requests.iter().flat_map(|request| &request.events).collect();
        events.sort_by_key(|(order, ..)| *order);
        (edge, events.into_iter().map(|(_, at, what)| (*at, *what)).collect())
    })
}
