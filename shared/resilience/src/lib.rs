//! Mechanisms that keep a service well under load and failure. They know time by tokio's clock alone, so that tests
//! pause it and a simulation drives it.

mod quota;
mod keyed_limiter;

pub use keyed_limiter::{KeyedLimiter, RetryAfter};
pub use quota::Quota;
