use std::time::Duration;

use tokio::time::Instant;

use super::control::Load;

/// A look at how long answers take when less is under way: those that entered before leave first, then as many as are
/// needed enter, and nearly all of these are waited for, since the first to leave are the fastest.
#[derive(Debug)]
pub(super) struct Probe {
    number: u32,
    level: u32,
    /// Before the limit was lowered to this level, in seconds.
    before: f64,
    at_first: Load,
    stage: Stage,
    until: Instant,
}

#[derive(Debug)]
enum Stage {
    /// Until no more is under way than the level allows.
    Waiting,
    Counting(Cohort),
}

/// Those that take part.
#[derive(Clone, Copy, Debug, Default)]
struct Cohort {
    entered: u32,
    left: u32,
    samples: u32,
    /// In seconds, together.
    took: f64,
    slowest: f64,
}

/// What came of a probe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probed {
    /// How long an answer took, in seconds; nothing where too few came.
    pub(super) took: Option<f64>,
    pub(super) level: u32,
    pub(super) before: f64,
    /// What made us look.
    pub(super) at_first: Load,
}

impl Probe {
    /// So many are enough, even of answers that differ much in their time.
    const MOST: u32 = 64;
    /// A low level would need long for so many; these are so many for each that is under way at once.
    const EACH: u32 = 8;
    /// Fewer tell nothing.
    const LEAST: u32 = 4;
    /// One of so many that is still under way when the others are over is not waited for. It counts as the slowest.
    const STRAGGLER: u32 = 16;
    /// It is over after so many times the time of an answer, and a while; a request that hangs does not hold it up.
    const TIMES: f64 = 20.0;
    const WHILE: Duration = Duration::from_secs(1);

    pub(super) fn begin(number: u32, level: u32, load: Load) -> Self {
        Self {
            // Nothing is like it: those who were answered lately may have entered before there was a queue.
            before: f64::INFINITY,
            ..Self::begin_again(number, level, load.took, load)
        }
    }

    /// With a lower level after one that is over, at which answers took `before`.
    pub(super) fn begin_again(number: u32, level: u32, before: f64, at_first: Load) -> Self {
        let most = Self::WHILE.as_secs_f64() + before * Self::TIMES;
        let until = Instant::now() + Duration::try_from_secs_f64(most).unwrap_or(Self::WHILE);
        Self { number, level: level.max(1), before, at_first, stage: Stage::Waiting, until }
    }

    /// How much may be under way meanwhile.
    pub(super) fn level(&self) -> u32 {
        self.level
    }

    /// Takes in the one that enters, with which `in_flight` are under way, unless there are enough.
    pub(super) fn take_part(&mut self, in_flight: u32) -> Option<u32> {
        self.go_on(in_flight);
        let enough = self.enough();
        match &mut self.stage {
            Stage::Counting(cohort) if cohort.entered < enough => {
                cohort.entered += 1;
                Some(self.number)
            }
            _ => None,
        }
    }

    /// One leaves; what came of the probe if it was the last of those who take part, or time is up.
    pub(super) fn leave(
        &mut self,
        worked: Option<f64>,
        number: Option<u32>,
        in_flight: u32,
    ) -> Option<Probed> {
        self.go_on(in_flight);
        let (enough, is_late) = (self.enough(), self.is_late());
        let (took, is_over) = match &mut self.stage {
            Stage::Waiting => (None, false),
            Stage::Counting(cohort) => {
                if number == Some(self.number) {
                    cohort.left(worked);
                }
                (cohort.mean(), cohort.left >= enough - enough / Self::STRAGGLER)
            }
        };
        let Self { level, before, at_first, .. } = *self;
        (is_over || is_late).then_some(Probed { took, level, before, at_first })
    }

    pub(super) fn is_late(&self) -> bool {
        Instant::now() >= self.until
    }

    fn go_on(&mut self, in_flight: u32) {
        if matches!(self.stage, Stage::Waiting) && in_flight <= self.level {
            self.stage = Stage::Counting(Cohort::default());
        }
    }

    fn enough(&self) -> u32 {
        Self::MOST.min(self.level.saturating_mul(Self::EACH))
    }
}

impl Cohort {
    fn left(&mut self, worked: Option<f64>) {
        self.left += 1;
        if let Some(took) = worked {
            self.samples += 1;
            self.took += took;
            self.slowest = self.slowest.max(took);
        }
    }

    /// In seconds; nothing where too few have told.
    fn mean(&self) -> Option<f64> {
        let stragglers = self.entered - self.left;
        let took = self.took + self.slowest * f64::from(stragglers);
        (self.samples >= Probe::LEAST).then(|| took / f64::from(self.samples + stragglers))
    }
}
