use std::time::Duration;

use tokio::time::Instant;

use super::LoadLimitConfig;
use super::probe::{Probe, Probed};

/// What one answer told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// In seconds.
    pub(super) took: f64,
    /// When it entered or when it left, whichever was more, itself included.
    pub(super) in_flight: u32,
}

/// What decides on the limit.
#[derive(Debug)]
pub(super) struct Control {
    config: LoadLimitConfig,
    limit: f64,
    /// The time that an answer takes without the load, in seconds.
    unloaded: Option<f64>,
    /// When the last probe was over.
    probed: Option<Instant>,
    window: Window,
    probe: Option<Probe>,
    /// How many there were, for their numbers.
    probes: u32,
}

/// What the answers since its beginning told.
#[derive(Debug)]
struct Window {
    began: Instant,
    samples: u32,
    busy: u32,
    took: f64,
    in_flight: f64,
}

/// What a window told, on average.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) took: f64,
    pub(super) in_flight: f64,
}

/// So much longer than unloaded is no queue yet: chance alone makes such a difference.
const TOLERANCE: f64 = 1.25;

impl Control {
    /// Fewer tell too little.
    const LEAST_SAMPLES: u32 = 50;
    /// A window is not shorter, and not shorter than an answer takes: the limit is judged by those who entered under it.
    const SHORTEST: Duration = Duration::from_millis(200);
    /// A single answer counts as no more than so many times the unloaded one: a few slow ones are no overload.
    const LONGEST: f64 = 8.0;
    /// A queue of more than everything that is worked on is none that the limit allows: the unloaded time is in doubt.
    const DOUBT: f64 = 2.0;
    /// Under load the unloaded time is believed for so many seconds, and for so many times itself: probing then costs no
    /// more than a few hundredths of the work.
    const BELIEVED: (f64, f64) = (10.0, 100.0);
    /// The same where it is in doubt: the answers that waited in a long queue are over by then.
    const DOUBTED: (f64, f64) = (2.0, 20.0);
    /// What is seen now weighs a quarter.
    const WEIGHT: f64 = 0.25;

    pub(super) fn new(config: LoadLimitConfig) -> Self {
        let config = LoadLimitConfig { least: config.least.min(config.most), ..config };
        let now = Instant::now();
        let limit = f64::from(config.first.clamp(config.least, config.most));
        Self {
            config,
            limit,
            unloaded: None,
            probed: None,
            window: Window::begin(now),
            probe: None,
            probes: 0,
        }
    }

    /// What may be under way now.
    pub(super) fn allowed(&self) -> u32 {
        self.probe.as_ref().map_or(self.limit.round() as u32, Probe::level)
    }

    pub(super) fn is_probing(&self) -> bool {
        self.probe.is_some()
    }

    /// The number of the probe in which the one that enters takes part.
    pub(super) fn take_part(&mut self, in_flight: u32) -> Option<u32> {
        self.probe.as_mut()?.take_part(in_flight)
    }

    /// Learns from the one that leaves, which took part in the probe of that number.
    pub(super) fn leave(&mut self, sample: Option<Sample>, number: Option<u32>, in_flight: u32) {
        let longest =
            self.unloaded.map_or(f64::INFINITY, |unloaded| self.with_slack(unloaded) * Self::LONGEST);
        if let Some(probe) = &mut self.probe {
            let took = sample.map(|sample| sample.took);
            if let Some(probed) = probe.leave(took, number, in_flight) {
                self.learn(probed);
            }
        } else if let Some(sample) = sample {
            let is_busy = f64::from(sample.in_flight) * 2.0 >= self.limit;
            self.window.add(sample, is_busy, longest);
            if self.window.is_full() {
                let window = std::mem::replace(&mut self.window, Window::begin(Instant::now()));
                self.decide(&window);
            }
        }
    }

    pub(super) fn end_late_probe(&mut self) {
        if self.probe.as_ref().is_some_and(Probe::is_late) {
            self.end_probe();
        }
    }

    fn decide(&mut self, window: &Window) {
        let load = window.load();
        let is_busy = window.busy * 2 >= window.samples;
        if is_busy && load.took <= self.config.slack.as_secs_f64() {
            // Whatever of it was waiting, it is not worth refusing anyone to find out.
            let target = self.target(load, load.took);
            return self.go_to(f64::midpoint(self.limit, target.max(self.limit)));
        }
        let Some(unloaded) = self.unloaded else {
            return if is_busy { self.probe(load) } else { self.unloaded = Some(load.took) };
        };
        let ratio = self.ratio(load.took, unloaded);
        if window.busy == 0 {
            return self.see(load.took, unloaded);
        }
        if !is_busy {
            return;
        }
        if ratio * Self::DOUBT < 1.0 {
            // So much faster under load than without: what was known is no longer true.
            (self.unloaded, self.probed) = (Some(load.took), None);
            return self.probe(load);
        }
        let believed = if ratio > Self::DOUBT { Self::DOUBTED } else { Self::BELIEVED };
        if ratio > TOLERANCE && !self.is_probed_within(believed, unloaded) {
            return self.probe(load);
        }
        let target = self.target(load, unloaded);
        if ratio > TOLERANCE || target > self.limit {
            self.go_to(f64::midpoint(self.limit, target));
        }
    }

    /// Moves the unloaded time towards what was seen now, so far that chance in it is dampened.
    fn see(&mut self, took: f64, unloaded: f64) {
        self.unloaded = Some(unloaded + (took - unloaded) * Self::WEIGHT);
    }

    fn is_probed_within(&self, (time, times): (f64, f64), unloaded: f64) -> bool {
        self.probed.is_some_and(|probed| probed.elapsed().as_secs_f64() < time.max(unloaded * times))
    }

    /// Halves the limit to see whether that makes answers faster.
    fn probe(&mut self, load: Load) {
        self.probes = self.probes.wrapping_add(1);
        self.probe = Some(Probe::begin(self.probes, (self.limit / 2.0) as u32, load));
    }

    fn learn(&mut self, Probed { took, level, before, at_first }: Probed) {
        let Some(took) = took else {
            return self.end_probe();
        };
        // What was seen without a probe may have been queueing, and at a lower level a likeness may be chance: there, only
        // two levels that are alike end the search.
        let is_first = before.is_infinite() && self.probed.is_some();
        let known = self.unloaded.filter(|known| is_first && self.is_about(took, *known));
        if known.is_none() && !self.is_about(took, before) && level > 1 {
            self.probes = self.probes.wrapping_add(1);
            self.probe = Some(Probe::begin_again(self.probes, level / 2, took, at_first));
            return;
        }
        match known {
            Some(known) => self.see(took, known),
            None => self.unloaded = Some(took),
        }
        self.limit = self.within_bounds(self.target(at_first, took));
        self.end_probe();
    }

    /// Whether chance may have made the difference.
    fn is_about(&self, took: f64, other: f64) -> bool {
        let ratio = self.ratio(took, other);
        ratio <= TOLERANCE && ratio * TOLERANCE >= 1.0
    }

    fn end_probe(&mut self) {
        self.probe = None;
        self.probed = Some(Instant::now());
        self.window = Window::begin(Instant::now());
    }

    /// How much should be under way: what is worked on, by Little's law; a quarter and the root of it more, so that what
    /// comes by chance finds something to do (the root as in Halfin and Whitt, "Heavy-traffic limits for queues with many
    /// exponential servers").
    fn target(&self, load: Load, unloaded: f64) -> f64 {
        let worked_on = load.in_flight * self.ratio(unloaded, load.took).min(1.0);
        worked_on * TOLERANCE + worked_on.sqrt()
    }

    fn go_to(&mut self, limit: f64) {
        // A window that was out of the ordinary costs half of the limit and no more.
        self.limit = self.within_bounds(limit.max(self.limit / 2.0));
    }

    fn within_bounds(&self, limit: f64) -> f64 {
        limit.clamp(f64::from(self.config.least), f64::from(self.config.most))
    }

    fn ratio(&self, took: f64, other: f64) -> f64 {
        self.with_slack(took) / self.with_slack(other)
    }

    fn with_slack(&self, took: f64) -> f64 {
        took + self.config.slack.as_secs_f64()
    }
}

impl Window {
    fn begin(now: Instant) -> Self {
        Self { began: now, samples: 0, busy: 0, took: 0.0, in_flight: 0.0 }
    }

    fn add(&mut self, sample: Sample, is_busy: bool, longest: f64) {
        self.samples += 1;
        self.busy += u32::from(is_busy);
        self.took += sample.took.min(longest);
        self.in_flight += f64::from(sample.in_flight);
    }

    fn load(&self) -> Load {
        let samples = f64::from(self.samples);
        Load { took: self.took / samples, in_flight: self.in_flight / samples }
    }

    fn is_full(&self) -> bool {
        let elapsed = self.began.elapsed();
        self.samples >= Control::LEAST_SAMPLES
            && elapsed >= Control::SHORTEST
            && elapsed.as_secs_f64() >= self.load().took
    }
}
