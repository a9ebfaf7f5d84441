use std::collections::{BTreeMap, BTreeSet};

use turmoil::Sim;

use super::Trouble;
use crate::history::Micros;
use crate::hosts::{CLIENTS, LATENCY};

/// The state of the ways between clients and instances: what troubles each, and which ends have no power.
///
/// The network knows one state per way, so that each change sets it anew from all there is to say about it.
#[derive(Default)]
pub(super) struct Links {
    troubled: BTreeMap<(&'static str, &'static str), (Trouble, Micros)>,
    silent: BTreeSet<&'static str>,
}

impl Links {
    /// Troubles a way until a moment. `false` if it has its trouble already.
    pub(super) fn trouble(
        &mut self,
        sim: &Sim<'_>,
        way: (&'static str, &'static str),
        trouble: Trouble,
        until: Micros,
    ) -> bool {
        if self.troubled.contains_key(&way) {
            return false;
        }
        self.troubled.insert(way, (trouble, until));
        self.apply(sim, way);
        true
    }

    /// Ends every trouble whose time is over.
    pub(super) fn heal(&mut self, sim: &Sim<'_>, now: Micros) {
        let over = self.troubled.extract_if(.., |_, (_, until)| *until <= now);
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
        self.apply_all(sim, instance);
    }

    fn apply_all(&self, sim: &Sim<'_>, instance: &'static str) {
        for client in CLIENTS {
            self.apply(sim, (client, instance));
        }
    }

    fn apply(&self, sim: &Sim<'_>, (client, instance): (&'static str, &'static str)) {
        // What was held arrives, and both directions are sound; then comes what is wrong.
        sim.release(client, instance);
        sim.set_link_max_message_latency(client, instance, LATENCY);
        if self.silent.contains(instance) {
            return sim.partition(client, instance);
        }
        match self.troubled.get(&(client, instance)) {
            None => {}
            Some((Trouble::Cut, _)) => sim.partition(client, instance),
            Some((Trouble::CutRequests, _)) => sim.partition_oneway(client, instance),
            Some((Trouble::CutAnswers, _)) => sim.partition_oneway(instance, client),
            Some((Trouble::Held, _)) => sim.hold(client, instance),
            Some((Trouble::Slow(most), _)) => sim.set_link_max_message_latency(client, instance, *most),
        }
    }
}

/// Cuts off an instance from inside the simulation, at the very call in which its process ended.
pub(super) fn silence_from_inside(instance: &'static str) {
    for client in CLIENTS {
        turmoil::partition(client, instance);
    }
}
