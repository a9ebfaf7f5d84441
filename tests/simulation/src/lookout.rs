//! Who watches what the services send to each other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chassis::Platform;
use resilience::State;
use service_client::{CalleeStatus, Event, InstanceStatus, Outbound};

use crate::history::{Ailing, Caller, Edge, Micros, Sight};
use crate::time;

/// Watches all processes. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Lookout(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// How many processes there have been.
    lives: u32,
    sights: Vec<Sight>,
    /// Those that run, by their host.
    outbounds: BTreeMap<&'static str, (Caller, Outbound)>,
}

impl Lookout {
    /// Watches a process that is about to start on `host`.
    #[must_use]
    pub fn watch(&self, host: &'static str, platform: Platform) -> Platform {
        let mut seen = self.seen();
        seen.lives += 1;
        let caller = Caller { host, life: seen.lives };
        let lookout = self.clone();
        let platform = platform.watched_by(Arc::new(move |event| lookout.note(caller, event)));
        seen.outbounds.insert(host, (caller, platform.outbound()));
        platform
    }

    /// What was seen since the last call.
    pub fn take(&self) -> Vec<Sight> {
        std::mem::take(&mut self.seen().sights)
    }

    /// The instances that others do not send to at this moment.
    pub fn ailing(&self, at: Micros) -> Vec<Ailing> {
        let seen = self.seen();
        let of = |(caller, outbound): &(Caller, Outbound)| {
            let caller = *caller;
            outbound.status().into_iter().flat_map(move |edge| ailing(at, caller, edge)).collect::<Vec<_>>()
        };
        seen.outbounds.values().flat_map(of).collect()
    }

    fn note(&self, caller: Caller, event: Event) {
        // What a process lets go of at its death is nothing that it does.
        if turmoil::sim_elapsed().is_some() {
            self.seen().sights.push(Sight { at: time::micros(), caller, event });
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ailing(at: Micros, caller: Caller, status: CalleeStatus) -> impl Iterator<Item = Ailing> {
    let edge = Edge { caller, callee: status.callee, protocol: status.protocol };
    let instances = status.instances.len();
    let is_ailing = |instance: &InstanceStatus| instance.is_away || instance.breaker != State::Closed;
    status.instances.into_iter().filter(is_ailing).map(move |instance| Ailing {
        at,
        edge: edge.clone(),
        addr: instance.addr,
        is_away: instance.is_away,
        instances,
    })
}
