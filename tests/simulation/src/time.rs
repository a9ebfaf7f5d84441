//! The time of the simulation.

use std::time::Duration;

use runtime::Clock;
use types::Timestamp;

use crate::history::Micros;

/// What the clocks show at the start: 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

/// How long the simulation has run; nothing before its start.
pub fn elapsed() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

/// The moment now.
pub fn micros() -> Micros {
    Micros::try_from(elapsed().as_micros()).expect("a simulation takes minutes")
}

/// The wall clock of every host; they agree.
pub fn clock() -> Clock {
    Clock::reading(|| START.after(elapsed()))
}
