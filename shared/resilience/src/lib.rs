//! Mechanisms that keep a service well under load and failure. They know time by tokio's clock alone, so that tests
//! pause it and a simulation drives it.

mod keyed_bulkhead;
mod keyed_limiter;
mod quota;

pub use keyed_bulkhead::{Entered, KeyedBulkhead};
pub use keyed_limiter::{KeyedLimiter, RetryAfter};
pub use quota::Quota;
