use std::collections::BTreeMap;

use anyhow::bail;
use chassis::RunError;

use super::super::Orders;
use super::super::links::Links;
use super::machine::Machine;
use crate::history::{History, Micros};
use crate::hosts::{INSTANCES, Site};

/// The instances that were told to end in order, and whether they did.
pub(super) struct Stops {
    orders: BTreeMap<&'static str, Orders>,
    /// Since when each is to end, and how long it then stays down.
    under_way: BTreeMap<&'static str, (Micros, Micros)>,
}

impl Default for Stops {
    fn default() -> Self {
        let orders = INSTANCES.into_iter().map(|instance| (instance, Orders::default())).collect();
        Self { orders, under_way: BTreeMap::new() }
    }
}

impl Stops {
    /// Longer than the drain may take.
    const PATIENCE: Micros = 35_000_000;

    pub(super) fn orders(&self, instance: &'static str) -> Orders {
        self.orders[instance].clone()
    }

    pub(super) fn renew(&self, instance: &str) {
        self.orders[instance].renew();
    }

    pub(super) fn begin(&mut self, instance: &'static str, now: Micros, lasting: Micros) {
        self.orders[instance].stop();
        self.under_way.insert(instance, (now, lasting));
    }

    pub(super) fn concern(&self, instance: &str) -> bool {
        self.under_way.contains_key(instance)
    }

    pub(super) fn are_over(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Something else has ended the instance.
    pub(super) fn forget(&mut self, instance: &str) {
        self.under_way.remove(instance);
    }

    /// The instances that have ended since the last call, and when they start again.
    pub(super) fn ended(
        &mut self,
        links: &Links,
        machines: &BTreeMap<Site, Machine>,
        now: Micros,
        history: &mut History,
    ) -> anyhow::Result<Vec<(&'static str, Micros)>> {
        let mut ended = Vec::new();
        for (instance, (since, lasting)) in std::mem::take(&mut self.under_way) {
            let machine = Site::of(instance).and_then(|site| machines.get(&site));
            let has_disk_hung = machine.is_some_and(|machine| machine.has_hung_since(since));
            match self.orders[instance].take_end() {
                Some(how) if is_in_order(&how, links.are_marred(instance), has_disk_hung) => {
                    history.event(now, format_args!("{instance} has ended: {how:?}"));
                    ended.push((instance, now + lasting));
                }
                Some(how) => bail!("{instance} did not end in order: {how:?}"),
                None if now > since + Self::PATIENCE => bail!("{instance} did not end"),
                None => drop(self.under_way.insert(instance, (since, lasting))),
            }
        }
        Ok(ended)
    }
}

/// A connection that the network has swallowed the end of is waited for as long as the drain may take, and cut; so is
/// a commit on a disk that hangs.
fn is_in_order(how: &Result<(), RunError>, is_network_marred: bool, has_disk_hung: bool) -> bool {
    let is_excused =
        |cut: &String| if cut.starts_with("connections") { is_network_marred } else { has_disk_hung };
    match how {
        Ok(()) => true,
        Err(RunError::Cut { what, .. }) => what.iter().all(is_excused),
        Err(RunError::Fault(_)) => false,
    }
}
