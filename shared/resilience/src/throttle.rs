#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Shed;

/// Refuses here what would be refused further on. Where an operation needs what there is too little of, such as another
/// service or a pool of threads, each refusal costs all that is done before it, until nothing is left for answers.
///
/// Once more than a tenth is refused there, no more is let in than has been answered of late and a fifth more: enough to
/// find out that there is room again. It follows the client-side throttling of Google ("Handling Overload" in "Site
/// Reliability Engineering"), but goes by the rate of answers instead of by chance: so it lets in evenly, and those who ask
/// less than that find no limit.
#[derive(Debug, Default)]
pub struct Throttle {
    /// Whether anything was refused of late; otherwise nothing is counted.
    is_active: AtomicBool,
    flow: Mutex<Option<Flow>>,
}

/// What comes and goes.
#[derive(Debug)]
struct Flow {
    began: Instant,
    asked: u32,
    answered: u32,
    refused: u32,
    /// How many are let in each second; all at first.
    rate: Option<f64>,
    /// Who may come at once, which grows with the rate.
    allowed: f64,
    grown: Instant,
}

impl Throttle {
    /// Lets one in, or not. Tell then what came of it.
    ///
    /// # Errors
    /// [`Shed`]: it would be refused further on.
    pub fn try_enter(&self) -> Result<(), Shed> {
        if !self.is_active() {
            return Ok(());
        }
        let mut flow = self.flow();
        self.turn(&mut flow);
        if flow.as_mut().is_none_or(Flow::lets_in) { Ok(()) } else { Err(Shed::soon()) }
    }

    /// One that was let in was answered.
    pub fn answered(&self) {
        if self.is_active() {
            let mut flow = self.flow();
            flow.iter_mut().for_each(|flow| flow.answered += 1);
            self.turn(&mut flow);
        }
    }

    /// One that was let in was refused further on, for want of room.
    pub fn refused(&self) {
        let mut flow = self.flow();
        flow.get_or_insert_with(Flow::begin).refused += 1;
        self.is_active.store(true, Ordering::Relaxed);
        self.turn(&mut flow);
    }

    /// Whether anything has been refused of late, so that it counts what comes.
    pub fn is_active(&self) -> bool {
        self.is_active.load(Ordering::Relaxed)
    }

    fn turn(&self, flow: &mut Option<Flow>) {
        if flow.as_mut().is_some_and(Flow::is_over) {
            *flow = None;
            self.is_active.store(false, Ordering::Relaxed);
        }
    }

    fn flow(&self) -> MutexGuard<'_, Option<Flow>> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flow {
    /// A window is not shorter than this and has so many answers: fewer tell too little, since they come by chance.
    const SHORTEST: Duration = Duration::from_millis(500);
    const LEAST_ANSWERS: u32 = 8;
    /// It is over then, however few there were: where nothing is answered, that is what there is to know.
    const LONGEST: Duration = Duration::from_secs(5);
    /// Refusals of one in so many are chance.
    const TOLERATED: u32 = 10;
    /// Of what was answered.
    const LET_IN: f64 = 1.2;
    /// Each second, whatever was answered: so it is found out when that was over.
    const LEAST: f64 = 4.0;
    /// In each window without too many refusals.
    const GROWTH: f64 = 1.5;
    /// As long as nobody comes, so much of a second is saved up.
    const SAVED: f64 = 0.1;

    fn begin() -> Self {
        let now = Instant::now();
        Self { began: now, asked: 0, answered: 0, refused: 0, rate: None, allowed: 0.0, grown: now }
    }

    fn lets_in(&mut self) -> bool {
        self.asked += 1;
        let Some(rate) = self.rate else { return true };
        let now = Instant::now();
        let more = (now - self.grown).as_secs_f64() * rate;
        self.allowed = (self.allowed + more).min(1.0 + rate * Self::SAVED);
        self.grown = now;
        let lets_in = self.allowed >= 1.0;
        if lets_in {
            self.allowed -= 1.0;
        }
        lets_in
    }

    /// Whether nothing is refused any more. Begins the next window if this one is complete.
    fn is_over(&mut self) -> bool {
        let now = Instant::now();
        let long = now - self.began;
        let is_complete = long >= Self::SHORTEST && self.answered >= Self::LEAST_ANSWERS;
        if !is_complete && long < Self::LONGEST {
            return false;
        }
        let long = long.as_secs_f64();
        self.rate = if self.refused * Self::TOLERATED > self.answered + self.refused {
            Some((f64::from(self.answered) / long * Self::LET_IN).max(Self::LEAST))
        } else {
            self.rate.map(|rate| rate * Self::GROWTH)
        };
        let is_wide = self.rate.is_none_or(|rate| rate * long >= f64::from(self.asked) * Self::GROWTH);
        let is_over = self.refused == 0 && is_wide;
        (self.began, self.asked, self.answered, self.refused) = (now, 0, 0, 0);
        is_over
    }
}
