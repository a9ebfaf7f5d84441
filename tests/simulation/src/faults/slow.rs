use std::collections::BTreeMap;
use std::time::Duration;

use crate::history::Micros;
use crate::net::Traffic;

/// The hosts that are slow.
pub(super) struct SlowHosts {
    traffic: Traffic,
    until: BTreeMap<&'static str, Micros>,
}

impl SlowHosts {
    pub(super) fn new(traffic: Traffic) -> Self {
        Self { traffic, until: BTreeMap::new() }
    }

    pub(super) fn are_none(&self) -> bool {
        self.until.is_empty()
    }

    /// Slows a host down until a moment. `false` if it is slow already.
    pub(super) fn slow_down(&mut self, host: &'static str, delay: Duration, until: Micros) -> bool {
        if self.until.contains_key(host) {
            return false;
        }
        self.until.insert(host, until);
        self.traffic.slow_down(host, delay);
        true
    }

    /// Ends what is over. How many of them anybody has felt.
    pub(super) fn speed_up(&mut self, now: Micros) -> usize {
        let over = self.until.extract_if(.., |_, until| *until <= now);
        over.filter(|(host, _)| self.traffic.speed_up(host)).count()
    }
}
