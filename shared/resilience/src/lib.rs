//! Mechanisms that keep a service well under load and failure. They know time by tokio's clock alone, so that tests
//! pause it and a simulation drives it.

mod bulkhead;
mod circuit_breaker;
mod keyed_bulkhead;
mod keyed_limiter;
mod load_limit;
mod percent;
mod quota;
mod retry_after;
mod retry_budget;
mod throttle;
mod window;

pub use bulkhead::{Bulkhead, BulkheadConfig, BulkheadError, Place};
pub use circuit_breaker::{BreakerConfig, Change, CircuitBreaker, Open, Permit, State, Verdict};
pub use keyed_bulkhead::{Entered, KeyedBulkhead};
pub use keyed_limiter::KeyedLimiter;
pub use load_limit::{Admitted, LoadLimit, LoadLimitConfig, Outcome, Priority, Shed};
pub use percent::Percent;
pub use quota::Quota;
pub use retry_after::RetryAfter;
pub use retry_budget::{Backoff, RetryBudget, RetryBudgetConfig};
pub use throttle::Throttle;
