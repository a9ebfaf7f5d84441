//! What the simulation stands on, and the simulation itself.

mod checking;
mod forgetting;
mod network;
mod replaying;
