use std::collections::{BTreeMap, BTreeSet};

use turmoil::Sim;

use super::Trouble;
use crate::history::Micros;
use crate::hosts::{LATENCY, Site, Way, ways};
use crate::net::Traffic;

/// The state of the ways between hosts: what troubles each, and which ends have no power.
///
/// The network knows one state per way, so that each change sets it anew from all there is to say about it.
pub(super) struct Links {
    traffic: Traffic,
    troubled: BTreeMap<Way, Troubled>,
    silent: BTreeSet<&'static str>,
    /// The hosts that had trouble on a way since they started.
    marred: BTreeSet<&'static str>,
}

struct Troubled {
    trouble: Trouble,
    until: Micros,
    /// What was sent before; `None` once something was sent since.
    before: Option<u64>,
}

impl Links {
    pub(super) fn new(traffic: Traffic) -> Self {
        Self { traffic, troubled: BTreeMap::new(), silent: BTreeSet::new(), marred: BTreeSet::new() }
    }

    /// Troubles a way until a moment. `false` if it has its trouble already.
    pub(super) fn trouble(&mut self, sim: &Sim<'_>, way: Way, trouble: Trouble, until: Micros) -> bool {
        if self.troubled.contains_key(&way) {
            return false;
        }
        self.replace(sim, way, trouble, until);
        true
    }

    /// Troubles a way until a moment, and nothing else does.
    pub(super) fn replace(&mut self, sim: &Sim<'_>, way: Way, trouble: Trouble, until: Micros) {
        let before = Some(self.concerned(way, trouble));
        self.troubled.insert(way, Troubled { trouble, until, before });
        self.marred.extend([way.0, way.1]);
        self.apply(sim, way);
    }

    /// Whether nothing troubles a way between two instances.
    pub(super) fn are_sound_inside(&self) -> bool {
        let is_inside = |(asking, asked): &Way| Site::of(asking).is_some() && Site::of(asked).is_some();
        self.silent.is_empty() && !self.troubled.keys().any(is_inside)
    }

    /// The kinds of the troubles that have met a message for the first time since the last call.
    pub(super) fn newly_felt(&mut self) -> Vec<&'static str> {
        let mut felt = Vec::new();
        let mut troubled = std::mem::take(&mut self.troubled);
        for (&way, Troubled { trouble, before, .. }) in &mut troubled {
            if before.is_some_and(|before| before < self.concerned(way, *trouble)) {
                *before = None;
                felt.push(trouble.kind());
            }
        }
        self.troubled = troubled;
        felt
    }

    /// What was ever sent in the directions that the trouble is about.
    fn concerned(&self, (asking, asked): Way, trouble: Trouble) -> u64 {
        let requests = || self.traffic.sent(asking, asked);
        let answers = || self.traffic.sent(asked, asking);
        match trouble {
            Trouble::CutRequests => requests(),
            Trouble::CutAnswers => answers(),
            Trouble::Cut | Trouble::Held | Trouble::Slow(_) => requests() + answers(),
        }
    }

    /// Ends every trouble whose time is over.
    pub(super) fn heal(&mut self, sim: &Sim<'_>, now: Micros) {
        let over = self.troubled.extract_if(.., |_, troubled| troubled.until <= now);
        let over: Vec<_> = over.map(|(way, _)| way).collect();
        for way in over {
            self.apply(sim, way);
        }
    }

    /// Nothing reaches the instance or comes from it.
    pub(super) fn silence(&mut self, sim: &Sim<'_>, instance: &'static str) {
        self.silent.insert(instance);
        // Whoever had a connection to it is not told of its end.
        self.marred.extend(of(instance).flat_map(|(asking, asked)| [asking, asked]));
        self.apply_all(sim, instance);
    }

    /// The instance is back.
    pub(super) fn restore(&mut self, sim: &Sim<'_>, instance: &'static str) {
        self.silent.remove(instance);
        let is_troubled = |way| self.troubled.contains_key(&way) || self.silent.iter().any(|it| has(way, it));
        if !of(instance).any(is_troubled) {
            self.marred.remove(instance);
        }
        self.apply_all(sim, instance);
    }

    /// Whether a connection of this process may be one that nobody at the other end knows of any more.
    pub(super) fn are_marred(&self, instance: &str) -> bool {
        self.marred.contains(instance)
    }

    fn apply_all(&self, sim: &Sim<'_>, instance: &'static str) {
        of(instance).for_each(|way| self.apply(sim, way));
    }

    fn apply(&self, sim: &Sim<'_>, way: Way) {
        let (asking, asked) = way;
        // What was held arrives, and both directions are sound; then comes what is wrong.
        sim.release(asking, asked);
        sim.set_link_max_message_latency(asking, asked, LATENCY);
        if self.silent.iter().any(|instance| has(way, instance)) {
            return sim.partition(asking, asked);
        }
        match self.troubled.get(&way).map(|troubled| troubled.trouble) {
            None => {}
            Some(Trouble::Cut) => sim.partition(asking, asked),
            Some(Trouble::CutRequests) => sim.partition_oneway(asking, asked),
            Some(Trouble::CutAnswers) => sim.partition_oneway(asked, asking),
            Some(Trouble::Held) => sim.hold(asking, asked),
            Some(Trouble::Slow(most)) => sim.set_link_max_message_latency(asking, asked, most),
        }
    }
}

/// The ways that a host is at an end of.
fn of(host: &str) -> impl Iterator<Item = Way> {
    ways().into_iter().filter(move |way| has(*way, host))
}

fn has((asking, asked): Way, host: &str) -> bool {
    asking == host || asked == host
}

/// Cuts off an instance from inside the simulation, at the very call in which its process ended.
pub(super) fn silence_from_inside(instance: &'static str) {
    of(instance).for_each(|(asking, asked)| turmoil::partition(asking, asked));
}
