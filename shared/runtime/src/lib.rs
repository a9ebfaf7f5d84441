//! The seams: everything random or outside that the platform uses comes through an [`Env`].
//!
//! A service that takes its time, ids, randomness, sockets, tasks and heavy computation from here runs
//! unchanged on a machine and inside a deterministic simulation. Durations come from tokio's own clock,
//! which tests pause and the simulation drives; only the wall clock needs a seam of its own.

mod clock;
mod compute;
mod deadline;
mod env;
mod ids;
mod net;
mod random;
mod tasks;

pub use clock::Clock;
pub use compute::{Compute, ComputeError};
pub use deadline::Deadline;
pub use env::Env;
pub use ids::Ids;
pub use net::{Io, Listen, Listener, Net, Network, Stream};
pub use random::Random;
pub use tasks::{Fault, StillRunning, Tasks};
