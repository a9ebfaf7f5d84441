mod config;
mod control;
mod probe;
#[cfg(test)]
mod model;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use types::{Classify, ErrorClass};

pub use self::config::LoadLimitConfig;
use self::control::{Control, Sample};
use crate::{Percent, RetryAfter};

/// Finds out how much may be under way at once without a queue behind it, and refuses the rest at once: what is let in
/// is answered about as fast as without the load, and the work done stays at its peak however much is asked for.
///
/// The limit follows the ratio of the unloaded time of an answer to the time now, as in TCP Vegas (Brakmo and Peterson)
/// and in Netflix' `concurrency-limits`: by Little's law, of `n` under way that take `now`, `n * unloaded / now` are being
/// worked on and the others wait. The limit is that number, a quarter more and its root, so that chance leaves nobody
/// idle. It rises only while half of it is in use.
///
/// The unloaded time is learnt whenever less than half of the limit is in use. Under load it cannot be seen, and a
/// queue looks like a callee that has become slower: then the limit is halved for a few requests. If they are as slow,
/// that is the unloaded time now; if they are faster, there was a queue.
///
/// Operations of different cost must not be compared with each other: each kind has a limit of its own, made by
/// [`Self::beside`], under one cap for all of them. Dear operations that queue then lose their places and cheap ones keep
/// theirs, unless these become slower too.
///
/// Clones are the same limit.
#[derive(Clone, Debug)]
pub struct LoadLimit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: LoadLimitConfig,
    /// Under way of all limits under the cap.
    all: Arc<AtomicU32>,
    in_flight: AtomicU32,
    /// The limit, or less while it is halved.
    allowed: AtomicU32,
    /// Whether those who enter have to be counted.
    is_probing: AtomicBool,
    control: Mutex<Control>,
}

/// What loses its place first when there is too much: the later, the sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// What shows and mends the trouble: operators and health. The limit does not concern it, the cap alone does.
    Operators,
    /// What somebody waits for.
    Users,
    /// What may as well be done later.
    Background,
}

impl Priority {
    /// Its name on metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operators => "operators",
            Self::Users => "users",
            Self::Background => "background",
        }
    }

    /// Of the cap. Something is always left for the operators.
    const fn of_cap(self) -> Percent {
        match self {
            Self::Operators => Percent::new(100),
            Self::Users => Percent::new(90),
            Self::Background => Percent::new(70),
        }
    }

    /// Of the limit. Three quarters of it keep the callee busy where there is nothing else.
    const fn of_limit(self) -> Option<Percent> {
        match self {
            Self::Operators => None,
            Self::Users => Some(Percent::new(100)),
            Self::Background => Some(Percent::new(75)),
        }
    }
}

/// What the time of an answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was worked on all the time, in vain or not.
    Worked,
    /// The time is no measure of the load, because the request was refused, or waited as it wished.
    Nothing,
}

/// Something that was let in, until it is finished. If it is dropped, nothing is learnt.
#[derive(Debug)]
#[must_use = "the place is free again when it is dropped"]
pub struct Admitted {
    limit: LoadLimit,
    entered: Instant,
    /// This one included.
    in_flight: u32,
    /// The number of the probe that it takes part in.
    probe: Option<u32>,
    outcome: Outcome,
}

/// It was not begun, because there is too much under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is too much to do")]
pub struct Shed {
    /// When to ask again.
    pub retry_after: RetryAfter,
}

impl Shed {
    /// The least that the header `retry-after` can say. A burst is over by then, and an overload is no worse for it.
    const PAUSE: RetryAfter = RetryAfter(Duration::from_secs(1));

    /// For whoever may ask again in a second.
    pub const fn soon() -> Self {
        Self { retry_after: Self::PAUSE }
    }
}

impl Classify for Shed {
    fn class(&self) -> ErrorClass {
        ErrorClass::Unavailable
    }
}

impl LoadLimit {
    /// A limit under a cap of its own.
    pub fn new(config: LoadLimitConfig) -> Self {
        Self::under(config, Arc::default())
    }

    /// Another limit, for another kind of operation, under the same cap.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self::under(self.0.config, Arc::clone(&self.0.all))
    }

    fn under(config: LoadLimitConfig, all: Arc<AtomicU32>) -> Self {
        let control = Control::new(config);
        Self(Arc::new(Shared {
            config,
            all,
            in_flight: AtomicU32::new(0),
            allowed: AtomicU32::new(control.allowed()),
            is_probing: AtomicBool::new(false),
            control: Mutex::new(control),
        }))
    }

    /// Lets in one more, or not.
    ///
    /// # Errors
    /// [`Shed`]: as much is under way as one of this priority may find.
    pub fn try_enter(&self, priority: Priority) -> Result<Admitted, Shed> {
        let shared = &*self.0;
        let shed = |_taken| self.shed();
        let allowed = shared.allowed.load(Ordering::Relaxed);
        let of_cap = share(priority.of_cap(), shared.config.most);
        let of_limit = priority.of_limit().map_or(u32::MAX, |of_limit| share(of_limit, allowed));
        take(&shared.all, of_cap).map_err(shed)?;
        let before = take(&shared.in_flight, of_limit).inspect_err(|_| {
            shared.all.fetch_sub(1, Ordering::Relaxed);
        });
        let in_flight = before.map_err(shed)? + 1;
        let probe = if shared.is_probing.load(Ordering::Acquire) { self.take_part() } else { None };
        let outcome = Outcome::Nothing;
        Ok(Admitted { limit: self.clone(), entered: Instant::now(), in_flight, probe, outcome })
    }

    /// How much may be under way at the moment, for metrics.
    pub fn limit(&self) -> u32 {
        self.0.allowed.load(Ordering::Relaxed)
    }

    /// How much is under way at the moment, for metrics.
    pub fn in_flight(&self) -> u32 {
        self.0.in_flight.load(Ordering::Relaxed)
    }

    fn shed(&self) -> Shed {
        if self.0.is_probing.load(Ordering::Acquire) {
            // Where everything hangs, nobody who leaves would end the probe.
            let mut control = self.0.control();
            control.end_late_probe();
            self.0.publish(&control);
        }
        Shed::soon()
    }

    fn take_part(&self) -> Option<u32> {
        let mut control = self.0.control();
        control.take_part(self.in_flight())
    }
}

impl Shared {
    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, sample: Option<Sample>, probe: Option<u32>) {
        self.all.fetch_sub(1, Ordering::Relaxed);
        let in_flight = self.in_flight.fetch_sub(1, Ordering::Relaxed) - 1;
        if sample.is_none() && !self.is_probing.load(Ordering::Acquire) {
            return;
        }
        let mut control = self.control();
        control.leave(sample, probe, in_flight);
        self.publish(&control);
    }

    /// Tells those who do not take the lock.
    fn publish(&self, control: &Control) {
        self.allowed.store(control.allowed(), Ordering::Relaxed);
        self.is_probing.store(control.is_probing(), Ordering::Release);
    }
}

impl Admitted {
    /// It is answered. Streams are when their head is: what follows it is no work that others wait behind.
    pub fn finish(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let worked = (self.outcome == Outcome::Worked).then(|| Sample {
            took: self.entered.elapsed().as_secs_f64(),
            in_flight: self.in_flight.max(self.limit.in_flight()),
        });
        self.limit.0.leave(worked, self.probe);
    }
}

/// So much of `whole`, and never nothing at all.
fn share(percent: Percent, whole: u32) -> u32 {
    u32::try_from(percent.of(u64::from(whole))).unwrap_or(whole).max(1)
}

/// Takes one of `most`; how many were taken before.
fn take(taken: &AtomicU32, most: u32) -> Result<u32, u32> {
    taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| (taken < most).then_some(taken + 1))
}
