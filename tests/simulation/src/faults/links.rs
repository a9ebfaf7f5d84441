use std::collections::{BTreeMap, BTreeSet};

use turmoil::Sim;

use super::Trouble;
use crate::history::Micros;
use crate::hosts::{CLIENTS, LATENCY};
use crate::net::Traffic;

/// A client and an instance.
pub(super) type Way = (&'static str, &'static str);

/// The state of the ways between clients and instances: what troubles each, and which ends have no power.
///
/// The network knows one state per way, so that each change sets it anew from all there is to say about it.
pub(super) struct Links {
    traffic: Traffic,
    troubled: BTreeMap<Way, Troubled>,
    silent: BTreeSet<&'static str>,
    /// The instances that had trouble on a way since they started.
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
        let before = Some(self.concerned(way, trouble));
        self.troubled.insert(way, Troubled { trouble, until, before });
        self.marred.insert(way.1);
        self.apply(sim, way);
        true
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
    fn concerned(&self, (client, instance): Way, trouble: Trouble) -> u64 {
        let requests = || self.traffic.sent(client, instance);
        let answers = || self.traffic.sent(instance, client);
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
        self.apply_all(sim, instance);
    }

    /// The instance is back.
    pub(super) fn restore(&mut self, sim: &Sim<'_>, instance: &'static str) {
        self.silent.remove(instance);
        if !self.troubled.keys().any(|way| way.1 == instance) {
            self.marred.remove(instance);
        }
        self.apply_all(sim, instance);
    }

    /// Whether a connection of this process may be one that nobody at the other end knows of any more.
    pub(super) fn are_marred(&self, instance: &str) -> bool {
        self.marred.contains(instance)
    }

    fn apply_all(&self, sim: &Sim<'_>, instance: &'static str) {
        for client in CLIENTS {
            self.apply(sim, (client, instance));
        }
    }

    fn apply(&self, sim: &Sim<'_>, (client, instance): Way) {
        // What was held arrives, and both directions are sound; then comes what is wrong.
        sim.release(client, instance);
        sim.set_link_max_message_latency(client, instance, LATENCY);
        if self.silent.contains(instance) {
            return sim.partition(client, instance);
        }
        match self.troubled.get(&(client, instance)).map(|troubled| troubled.trouble) {
            None => {}
            Some(Trouble::Cut) => sim.partition(client, instance),
            Some(Trouble::CutRequests) => sim.partition_oneway(client, instance),
            Some(Trouble::CutAnswers) => sim.partition_oneway(instance, client),
            Some(Trouble::Held) => sim.hold(client, instance),
            Some(Trouble::Slow(most)) => sim.set_link_max_message_latency(client, instance, most),
        }
    }
}

/// Cuts off an instance from inside the simulation, at the very call in which its process ended.
pub(super) fn silence_from_inside(instance: &'static str) {
    for client in CLIENTS {
        turmoil::partition(client, instance);
    }
}
