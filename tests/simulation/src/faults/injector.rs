use std::collections::{BTreeMap, VecDeque};

use anyhow::Context as _;
use runtime::Random;
use turmoil::Sim;

use super::links::{Links, silence_from_inside};
use super::{Fault, Planned};
use crate::history::{History, Micros};
use crate::hosts::INSTANCES;
use crate::storage::{Cut, Disk};

/// Makes the planned faults happen, and ends them.
pub struct Injector {
    disk: Disk,
    random: Random,
    planned: VecDeque<Planned>,
    links: Links,
    /// Countdowns that run: until when they may take, and how long what they set off shall last.
    armed: Vec<(Cut, Micros, Micros)>,
    /// Instances that are down by themselves, and when they start again.
    down: BTreeMap<&'static str, Micros>,
    /// When the power comes back.
    dark_until: Option<Micros>,
    happened: BTreeMap<&'static str, u32>,
}

impl Injector {
    /// For the time in which a countdown does not end by itself, because nobody writes.
    const PATIENCE: Micros = 1_000_000;

    /// For the processes on `disk`, which must tell its cuts to [`Injector::cut`].
    pub fn new(disk: Disk, random: Random, planned: Vec<Planned>) -> Self {
        Self {
            disk,
            random,
            planned: planned.into(),
            links: Links::default(),
            armed: Vec::new(),
            down: BTreeMap::new(),
            dark_until: None,
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

    /// How often each kind of fault took effect.
    pub fn happened(&self) -> &BTreeMap<&'static str, u32> {
        &self.happened
    }

    /// Whether every process runs and nothing is planned, so that only troubled ways are left.
    pub fn is_done(&self) -> bool {
        self.planned.is_empty() && self.armed.is_empty() && self.down.is_empty() && self.dark_until.is_none()
    }

    /// Does what is due. To be called between any two steps of the simulation.
    pub fn advance(&mut self, sim: &mut Sim<'_>, now: Micros, history: &mut History) -> anyhow::Result<()> {
        self.fire(sim, now, history);
        self.restart(sim, now, history)?;
        self.links.heal(sim, now);
        while let Some(next) = self.planned.pop_front_if(|next| next.at <= now) {
            if self.begin(sim, next, now) {
                *self.happened.entry(next.fault.kind()).or_default() += 1;
                history.event(now, format_args!("{:?} for {} us", next.fault, next.lasting));
            }
        }
        Ok(())
    }

    /// Begins a fault. `false` if it can have no effect now.
    fn begin(&mut self, sim: &mut Sim<'_>, planned: Planned, now: Micros) -> bool {
        let lasting = planned.lasting;
        match planned.fault {
            Fault::Link { client, instance, trouble } => {
                self.links.trouble(sim, (client, instance), trouble, now + lasting)
            }
            _ if self.dark_until.is_some() || !self.armed.is_empty() => false,
            Fault::Kill { instance, .. } if self.down.contains_key(instance) => false,
            Fault::Kill { instance, after: Some(writes) } => {
                self.disk.kill_after(instance, writes);
                self.armed.push((Cut::Process(instance), now + Self::PATIENCE, lasting));
                true
            }
            Fault::Kill { instance, after: None } => {
                self.kill(sim, instance, now + lasting);
                true
            }
            Fault::PowerLoss { after: Some(writes) } => {
                self.disk.power_off_after(writes);
                self.armed.push((Cut::Power, now + Self::PATIENCE, lasting));
                true
            }
            Fault::PowerLoss { after: None } => {
                self.darken(sim, now + lasting);
                true
            }
        }
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
            match cut {
                Cut::Power => self.darken(sim, now + lasting),
                // Nothing of it may be heard, as nothing was from inside.
                Cut::Process(instance) => {
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
        self.down.insert(instance, until);
    }

    fn darken(&mut self, sim: &mut Sim<'_>, until: Micros) {
        self.disk.power_off();
        for instance in INSTANCES {
            self.links.silence(sim, instance);
            sim.crash(instance);
        }
        self.down.clear();
        self.dark_until = Some(until);
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
