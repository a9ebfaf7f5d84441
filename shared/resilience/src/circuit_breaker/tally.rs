use super::{BreakerConfig, Verdict};
use crate::window::Window;

/// The window goes by tenths: what is forgotten at once is a small part of it.
const SLOTS: usize = 10;

/// What came of the calls of one generation.
#[derive(Debug)]
pub(super) struct Tally {
    in_a_row: u32,
    lately: Window<Calls, SLOTS>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    all: u32,
    failed: u32,
}

impl Tally {
    pub(super) fn new(config: &BreakerConfig) -> Self {
        Self { in_a_row: 0, lately: Window::new(config.window / SLOTS as u32) }
    }

    /// Counts one more call, and tells whether it was one failure too many.
    pub(super) fn counts_to_open(&mut self, verdict: Verdict, config: &BreakerConfig) -> bool {
        match verdict {
            Verdict::Nothing => return false,
            Verdict::Success => self.in_a_row = 0,
            Verdict::Failure => self.in_a_row = self.in_a_row.saturating_add(1),
            Verdict::Fault => {}
        }
        let calls = self.lately.current();
        calls.all = calls.all.saturating_add(1);
        if verdict == Verdict::Success {
            return false;
        }
        calls.failed = calls.failed.saturating_add(1);
        self.in_a_row >= config.failures_in_a_row.get() || self.fails_too_often(config)
    }

    fn fails_too_often(&self, config: &BreakerConfig) -> bool {
        let lately = self.lately.latest(SLOTS as u64);
        let (all, failed) = lately.fold((0, 0), |(all, failed), calls| {
            (all + u64::from(calls.all), failed + u64::from(calls.failed))
        });
        all >= u64::from(config.least_calls) && config.failure_rate.is_reached(failed, all)
    }

    pub(super) fn clear(&mut self) {
        self.in_a_row = 0;
        self.lately.clear();
    }
}
