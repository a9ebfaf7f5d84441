//! Who is where: the instances of each service, as they are now and whenever that changes.
//!
//! A service registers itself once it serves and withdraws before it ends; whoever calls it watches. The list of
//! a service that nobody knows is empty, which is an answer and no error.

mod endpoint;
mod discover;
mod registry;
mod fixed;

pub use discover::{Discover, Registration};
pub use endpoint::{Endpoint, Endpoints};
pub use fixed::{Static, StaticError, WrongEntry};
pub use registry::Registry;
