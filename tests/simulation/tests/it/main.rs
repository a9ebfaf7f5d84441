//! What the simulation stands on, and the simulation itself.
#![expect(clippy::unwrap_used, reason = "what fails in a test's helper fails the test")]

mod checking;
mod forgetting;
mod identity;
mod network;
mod refusing;
mod replaying;
mod sending;
