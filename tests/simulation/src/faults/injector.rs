mod machine;
mod stops;

use std::collections::{BTreeMap, VecDeque};

use runtime::Random;
use turmoil::Sim;

use self::machine::Machine;
use self::stops::Stops;
use super::links::{Links, silence_from_inside};
use super::slow::SlowHosts;
use super::{Fault, Orders, Planned, SLOW, Trouble};
use crate::history::{History, Micros};
use crate::hosts::{AUTH, GATEWAY, Site};
use crate::net::Traffic;
use crate::storage::{Cut, Disk};

/// Makes the planned faults happen, and ends them.
pub struct Injector {
    machines: BTreeMap<Site, Machine>,
    random: Random,
    planned: VecDeque<Planned>,
    links: Links,
    slow: SlowHosts,
    stops: Stops,
    /// Countdowns that run.
    armed: Vec<Armed>,
    /// Instances that are down by themselves, and when they start again.
    down: BTreeMap<&'static str, Micros>,
    happened: BTreeMap<&'static str, u32>,
}

/// A countdown of writes.
struct Armed {
    site: Site,
    cut: Cut,
    /// For how long it may run.
    until: Micros,
    /// How long what it sets off shall last.
    lasting: Micros,
}

impl Injector {
    /// For the time in which a countdown does not end by itself, because nobody writes.
    const PATIENCE: Micros = 1_000_000;

    /// For the processes on the disks, which must tell their cuts to [`Injector::cut`].
    pub fn new(
        disks: &BTreeMap<Site, Disk>,
        traffic: Traffic,
        random: Random,
        planned: Vec<Planned>,
    ) -> Self {
        let machine = |(site, disk): (&Site, &Disk)| (*site, Machine::with(disk.clone()));
        Self {
            machines: disks.iter().map(machine).collect(),
            random,
            planned: planned.into(),
            links: Links::new(traffic.clone()),
            slow: SlowHosts::new(traffic),
            stops: Stops::default(),
            armed: Vec::new(),
            down: BTreeMap::new(),
            happened: BTreeMap::new(),
        }
    }

    /// What to do inside the call at which a process or the whole machine ends: from here on nobody may hear of
    /// it, least of all an answer that it makes of the failed call.
    pub fn cut(site: Site, cut: Cut) {
        match cut {
            Cut::Process(instance) => silence_from_inside(instance),
            Cut::Power => site.instances().iter().for_each(|instance| silence_from_inside(instance)),
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
        self.planned.is_empty() && self.is_up()
    }

    /// Whether every process runs, on a machine that is well.
    fn is_up(&self) -> bool {
        self.armed.is_empty()
            && self.down.is_empty()
            && self.stops.are_over()
            && self.machines.values().all(Machine::is_well)
    }

    /// Does what is due. To be called between any two steps of the simulation.
    ///
    /// # Errors
    /// An instance that was told to end did not, or not in order.
    pub fn advance(&mut self, sim: &mut Sim<'_>, now: Micros, history: &mut History) -> anyhow::Result<()> {
        self.fire(sim, now, history);
        for (instance, until) in self.stops.ended(&self.links, &self.machines, now, history)? {
            self.count(Fault::Restart { instance }.kind());
            self.down.insert(instance, until);
        }
        self.restart(sim, now, history)?;
        let refused: Vec<_> =
            self.machines.values_mut().filter_map(|machine| machine.end_refusal(now)).collect();
        refused.into_iter().for_each(|kind| self.count(kind));
        self.links.newly_felt().into_iter().for_each(|kind| self.count(kind));
        self.links.heal(sim, now);
        (0..self.slow.speed_up(now)).for_each(|_| self.count(SLOW));
        while let Some(next) = self.planned.pop_front_if(|next| next.at <= now) {
            if self.begin(sim, next, now, history) {
                history.event(now, format_args!("{:?} for {} us", next.fault, next.lasting));
            }
        }
        let is_quiet = self.is_up() && self.slow.are_none() && self.links.are_sound_inside();
        history.circumstances_mut().note_quiet(now, is_quiet);
        for since in self.machines.values_mut().filter_map(|machine| machine.hangs_since(now)) {
            history.circumstances_mut().note_hang(since, now);
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
        let until = now + lasting;
        match fault {
            Fault::Link { way, trouble } => return self.links.trouble(sim, way, trouble, until),
            Fault::Slow { instance, delay } => return self.slow.slow_down(instance, delay, until),
            Fault::Kill { instance, after: Some(writes) } => {
                let Some(site) = Site::of(instance) else { return false };
                self.machines[&site].disk().kill_after(instance, writes);
                self.arm(site, Cut::Process(instance), now, lasting);
            }
            Fault::Kill { instance, after: None } => {
                self.count(fault.kind());
                self.kill(sim, instance, until);
            }
            Fault::PowerLoss { site, after: Some(writes) } => {
                self.machines[&site].disk().power_off_after(writes);
                self.arm(site, Cut::Power, now, lasting);
            }
            Fault::PowerLoss { site, after: None } => {
                self.count(fault.kind());
                self.darken(sim, site, now, lasting, history);
            }
            Fault::Restart { instance } => self.stops.begin(instance, now, lasting),
            Fault::Refusal { site, refusal } => self.machine(site).refuse(refusal, fault.kind(), until),
            Fault::ColdStart => {
                self.count(fault.kind());
                self.start_cold(sim, now, until, history);
            }
        }
        true
    }

    fn machine(&mut self, site: Site) -> &mut Machine {
        self.machines.get_mut(&site).expect("every site has its machine")
    }

    fn arm(&mut self, site: Site, cut: Cut, now: Micros, lasting: Micros) {
        self.armed.push(Armed { site, cut, until: now + Self::PATIENCE, lasting });
    }

    /// Whether those whom the fault is about are there to be hit by it, and by nothing else yet.
    fn can_begin(&self, fault: Fault) -> bool {
        let has_power = |site: Site| {
            !self.machines[&site].is_dark() && !self.armed.iter().any(|armed| armed.site == site)
        };
        let is_there =
            |instance| Site::of(instance).is_some_and(has_power) && !self.down.contains_key(instance);
        match fault {
            // What lasts from before gives way to a cold start.
            Fault::Link { .. } | Fault::ColdStart => true,
            // Also in the middle of an orderly end.
            Fault::Kill { instance, .. } | Fault::Slow { instance, .. } => is_there(instance),
            Fault::Restart { instance } => is_there(instance) && !self.stops.concern(instance),
            Fault::PowerLoss { site, .. } => has_power(site),
            Fault::Refusal { site, .. } => has_power(site) && !self.machines[&site].is_refusing(),
        }
    }

    /// Ends what a countdown has ended, or what it had long enough to end.
    fn fire(&mut self, sim: &mut Sim<'_>, now: Micros, history: &mut History) {
        for armed in std::mem::take(&mut self.armed) {
            let Armed { site, cut, until, lasting } = armed;
            let disk = self.machines[&site].disk();
            let has_ended = match cut {
                Cut::Power => site.instances().iter().all(|instance| !disk.is_alive(instance)),
                Cut::Process(instance) => !disk.is_alive(instance),
            };
            if !has_ended && now < until {
                self.armed.push(armed);
                continue;
            }
            let how = if has_ended { " while writing" } else { "" };
            history.event(now, format_args!("{site:?} {cut:?} ends{how}"));
            let after = has_ended.then_some(0);
            match cut {
                Cut::Power => {
                    self.count(Fault::PowerLoss { site, after }.kind());
                    self.darken(sim, site, now, lasting, history);
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
        if let Some(machine) = Site::of(instance).and_then(|site| self.machines.get(&site)) {
            machine.disk().kill(instance);
        }
        sim.crash(instance);
        self.stops.forget(instance);
        self.down.insert(instance, until);
    }

    fn darken(&mut self, sim: &mut Sim<'_>, site: Site, now: Micros, lasting: Micros, history: &mut History) {
        self.machine(site).darken(now + lasting);
        if site == Site::Users {
            history.circumstances_mut().power_losses.push(now);
        }
        for instance in site.instances() {
            self.links.silence(sim, instance);
            sim.crash(*instance);
            self.stops.forget(instance);
            self.down.remove(instance);
        }
    }

    /// Kills the gateway, which is back at once, and keeps it from those who have the keys.
    fn start_cold(&mut self, sim: &mut Sim<'_>, now: Micros, until: Micros, history: &mut History) {
        /// What looks after processes needs.
        const DOWN: Micros = 200_000;
        if !self.machines[&Site::Gateway].is_dark() {
            self.kill(sim, GATEWAY, now + DOWN);
        }
        AUTH.iter().for_each(|auth| self.links.replace(sim, (GATEWAY, auth), Trouble::Cut, until));
        history.circumstances_mut().keyless.push((now, until));
    }

    fn restart(&mut self, sim: &mut Sim<'_>, now: Micros, history: &mut History) -> anyhow::Result<()> {
        let random = self.random.clone();
        for site in Site::ALL {
            if let Some(lost) = self.machine(site).light(now, &random)? {
                history
                    .event(now, format_args!("{site:?} has power, {} changes were at risk", lost.unsynced));
                site.instances().iter().for_each(|instance| self.start(sim, instance, now, history));
            }
        }
        let due: Vec<_> = self.down.extract_if(.., |_, until| *until <= now).map(|(name, _)| name).collect();
        for instance in due {
            if let Some(machine) = Site::of(instance).and_then(|site| self.machines.get(&site)) {
                machine.disk().revive(instance);
            }
            history.event(now, format_args!("{instance} starts again"));
            self.start(sim, instance, now, history);
        }
        Ok(())
    }

    fn start(&mut self, sim: &mut Sim<'_>, instance: &'static str, now: Micros, history: &mut History) {
        if instance == GATEWAY {
            history.circumstances_mut().gateway_starts.push(now);
        }
        self.links.restore(sim, instance);
        self.stops.renew(instance);
        sim.bounce(instance);
    }
}
