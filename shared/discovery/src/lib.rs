//! Who is where: the instances of each service, as they are now and whenever that changes.
//!
//! A service registers itself once it serves and withdraws before it ends; whoever calls it watches. The list of
//! a service that nobody knows is empty, which is an answer and no error. What is learnt from outside, from Consul or
//! DNS, outlives that: while it cannot be asked, the last set stands.

mod endpoint;
mod discover;
mod registry;
mod address;
mod fixed;
mod backoff;
mod contact;
mod watches;
mod consul;
mod dns;

pub use consul::{
    CheckKind, Consul, ConsulConfig, ConsulTls, Credentials, NoAuthorityError, Reread, SetupError,
};
pub use discover::{Discover, Registration, Standing, StillKnown};
pub use dns::{Dns, DnsConfig, DnsNames, DnsNamesError, WrongName};
pub use endpoint::{Endpoint, Endpoints};
pub use fixed::{Static, StaticError, WrongEntry};
pub use registry::Registry;
