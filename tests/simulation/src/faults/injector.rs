mod stops;

use std::collections::{BTreeMap, VecDeque};

use anyhow::Context as _;
use runtime::Random;
use turmoil::Sim;

use self::stops::Stops;
use super::links::{Links, silence_from_inside};
use super::{Fault, Orders, Planned};
use crate::history::{History, Micros};
use crate::hosts::INSTANCES;
use crate::net::Traffic;
use crate::storage::{Cut, Disk, Refusal};

/// Makes the planned faults happen, and ends them.
pub struct Injector {
    disk: Disk,
    random: Random,
    planned: VecDeque<Planned>,
    links: Links,
    stops: Stops,
    /// Countdowns that run: until when they may take, and how long what they set off shall last.
    armed: Vec<(Cut, Micros, Micros)>,
    /// Instances that are down by themselves, and when they start again.
    down: BTreeMap<&'static str, Micros>,
    /// When the power comes back.
    dark_until: Option<Micros>,
    refusing: Option<Refusing>,
    happened: BTreeMap<&'static str, u32>,
}

/// A disk that takes no changes.
struct Refusing {
    kind: &'static str,
    until: Micros,
    /// How many changes were ever refused before.
    before: u64,
}

impl Injector {
    /// For the time in which a countdown does not end by itself, because nobody writes.
    const PATIENCE: Micros = 1_000_000;

    /// For the processes on `disk`, which must tell its cuts to [`Injector::cut`].
    pub fn new(disk: Disk, traffic: Traffic, random: Random, planned: Vec<Planned>) -> Self {
        Self {
            disk,
            random,
            planned: planned.into(),
            links: Links::new(traffic),
            stops: Stops::default(),
            armed: Vec::new(),
            down: BTreeMap::new(),
            dark_until: None,
            refusing: None,
            happened: BTreeMap::new(),
        }
    }

    /// What to do inside the call at which a process or the whole host ends: from here on nobody may hear of
    /// it, least of all an answer that it makes of the failed call.
    pub fn cut(cut: Cut) {
        match cut {
            Cut::Process(instance) => silence_from_inside(instance),
            Cut::Power => INSTANCES.into_iter().for_each(silence_from_inside),
        }
    }

    /// What an instance must take its orders from.
    pub fn orders(&self, instance: &'static str) -> Orders {
        self.stops.orders(instance)
    }

    /// How often each kind of fault took effect.
    pub fn happened(&self) -> &BTreeMap<&'static str, u32> {
        &self.happened
    }

    /// Whether every process runs and nothing is planned, so that only troubled ways are left.
    pub fn is_done(&self) -> bool {
        self.planned.is_empty()
            && self.armed.is_empty()
            && self.down.is_empty()
            && self.stops.are_over()
            && self.dark_until.is_none()
            && self.refusing.is_none()
    }

    /// Does what is due. To be called between any two steps of the simulation.
    ///
    /// # Errors
    /// An instance that was told to end did not, or not in order.
    pub fn advance(&mut self, sim: &mut Sim<'_>, now: Micros, history: &mut History) -> anyhow::Result<()> {
        self.fire(sim, now, history);
        for (instance, until) in self.stops.ended(&self.links, now, history)? {
            self.count(Fault::Restart { instance }.kind());
            self.down.insert(instance, until);
        }
        self.restart(sim, now, history)?;
        self.end_refusal(now);
        self.links.newly_felt().into_iter().for_each(|kind| self.count(kind));
        self.links.heal(sim, now);
        while let Some(next) = self.planned.pop_front_if(|next| next.at <= now) {
            if self.begin(sim, next, now, history) {
                history.event(now, format_args!("{:?} for {} us", next.fault, next.lasting));
            }
        }
        Ok(())
    }

    fn count(&mut self, kind: &'static str) {
        *self.happened.entry(kind).or_default() += 1;
    }

    /// Begins a fault. `false` if it can have no effect now.
    fn begin(&mut self, sim: &mut Sim<'_>, planned: Planned, now: Micros, history: &mut History) -> bool {
        let (fault, lasting) = (planned.fault, planned.lasting);
        if !self.can_begin(fault) {
            return false;
        }
        match fault {
            Fault::Link { client, instance, trouble } => {
                return self.links.trouble(sim, (client, instance), trouble, now + lasting);
            }
            Fault::Kill { instance, after: Some(writes) } => {
                self.disk.kill_after(instance, writes);
                self.armed.push((Cut::Process(instance), now + Self::PATIENCE, lasting));
            }
            Fault::Kill { instance, after: None } => {
                self.count(fault.kind());
                self.kill(sim, instance, now + lasting);
            }
            Fault::PowerLoss { after: Some(writes) } => {
                self.disk.power_off_after(writes);
                self.armed.push((Cut::Power, now + Self::PATIENCE, lasting));
            }
            Fault::PowerLoss { after: None } => {
                self.count(fault.kind());
                self.darken(sim, now, lasting, history);
            }
            Fault::Restart { instance } => self.stops.begin(instance, now, lasting),
            Fault::Refusal(refusal) => self.refuse(refusal, fault.kind(), now + lasting),
        }
        true
    }

    /// Whether those whom the fault is about are there to be hit by it, and by nothing else yet.
    fn can_begin(&self, fault: Fault) -> bool {
        let is_quiet = self.dark_until.is_none() && self.armed.is_empty();
        match fault {
            Fault::Link { .. } => true,
            // Also in the middle of an orderly end.
            Fault::Kill { instance, .. } => is_quiet && !self.down.contains_key(instance),
            Fault::Restart { instance } => {
                is_quiet && !self.down.contains_key(instance) && !self.stops.concern(instance)
            }
            Fault::PowerLoss { .. } => is_quiet,
            Fault::Refusal(_) => is_quiet && self.refusing.is_none(),
        }
    }

    fn refuse(&mut self, refusal: Refusal, kind: &'static str, until: Micros) {
        self.refusing = Some(Refusing { kind, until, before: self.disk.refused() });
        self.disk.refuse(refusal);
    }

    /// Ends what a countdown has ended, or what it had long enough to end.
    fn fire(&mut self, sim: &mut Sim<'_>, now: Micros, history: &mut History) {
        for (cut, until, lasting) in std::mem::take(&mut self.armed) {
            let has_ended = match cut {
                Cut::Power => INSTANCES.iter().all(|instance| !self.disk.is_alive(instance)),
                Cut::Process(instance) => !self.disk.is_alive(instance),
            };
            if !has_ended && now < until {
                self.armed.push((cut, until, lasting));
                continue;
            }
            history.event(now, format_args!("{cut:?} ends{}", if has_ended { " while writing" } else { "" }));
            let after = has_ended.then_some(0);
            match cut {
                Cut::Power => {
                    self.count(Fault::PowerLoss { after }.kind());
                    self.darken(sim, now, lasting, history);
                }
                // Nothing of it may be heard, as nothing was from inside.
                Cut::Process(instance) => {
                    self.count(Fault::Kill { instance, after }.kind());
                    self.links.silence(sim, instance);
                    self.kill(sim, instance, now + lasting);
                }
            }
        }
    }

    /// As by `kill -9`: the kernel closes its connections, and keeps what it wrote.
    fn kill(&mut self, sim: &mut Sim<'_>, instance: &'static str, until: Micros) {
        self.disk.kill(instance);
        sim.crash(instance);
        self.stops.forget(instance);
        self.down.insert(instance, until);
    }

    fn darken(&mut self, sim: &mut Sim<'_>, now: Micros, lasting: Micros, history: &mut History) {
        self.disk.power_off();
        history.lose_power(now);
        for instance in INSTANCES {
            self.links.silence(sim, instance);
            sim.crash(instance);
            self.stops.forget(instance);
        }
        self.down.clear();
        self.dark_until = Some(now + lasting);
    }

    fn end_refusal(&mut self, now: Micros) {
        if let Some(Refusing { kind, before, .. }) = self.refusing.take_if(|refusing| refusing.until <= now) {
            self.disk.accept();
            if self.disk.refused() > before {
                self.count(kind);
            }
        }
    }

    fn restart(&mut self, sim: &mut Sim<'_>, now: Micros, history: &mut History) -> anyhow::Result<()> {
        if self.dark_until.is_some_and(|until| until <= now) {
            let lost = self.disk.power_on(&self.random).context("bringing the power back")?;
            history.event(now, format_args!("power is back, {} changes were at risk", lost.unsynced));
            self.dark_until = None;
            INSTANCES.into_iter().for_each(|instance| self.start(sim, instance));
        }
        let due: Vec<_> = self.down.extract_if(.., |_, until| *until <= now).map(|(name, _)| name).collect();
        for instance in due {
            self.disk.revive(instance);
            history.event(now, format_args!("{instance} starts again"));
            self.start(sim, instance);
        }
        Ok(())
    }

    fn start(&mut self, sim: &mut Sim<'_>, instance: &'static str) {
        self.links.restore(sim, instance);
        sim.bounce(instance);
    }
}
