//! The only way to call another service: gRPC by a [`Channel`], proxied HTTP by an [`HttpClient`].
//!
//! For both, from outside in:
//! 1. the *deadline*, which bounds everything and goes out with the request;
//! 2. the *bulkhead*, so that a service that hangs takes up only so much of this process;
//! 3. the *attempts*: what certainly did not happen is tried again, and what may have happened where that does no harm,
//!    both out of a budget. This is the one place where anything is tried again;
//! 4. an *instance* of the service: the cheaper of two, without those that fail or do not let us in;
//! 5. a *connection* to it over mTLS, with whoever the service's SPIFFE id says and nobody else.

mod outbound;
mod callee;
mod metrics;
mod witness;
mod request;
mod channel;
mod http_client;
mod instances;
mod outgoing;
mod kept;
mod dialer;
mod waiting;
mod heard;
mod told;
mod passed_on;
mod timeout;
mod error;
#[doc(hidden)]
pub mod measuring;

use std::error::Error;

pub use callee::{CalleeConfig, Callees, OwnTerms, Terms};
pub use channel::{Answered, Channel};
pub use dialer::ConnectError;
pub use error::{CallError, SendError};
pub use http_client::{HttpClient, Proxied};
pub use instances::InstanceStatus;
pub use outbound::{CalleeStatus, Outbound};
pub use passed_on::{Calls, allow_retry, forbid_retry, forbids_retry, tell_overload, watch_calls};
pub use request::{request, streaming};
pub use witness::{Event, Outcome, What, Witness};

/// Whatever the body of a request may fail with.
type BoxError = Box<dyn Error + Send + Sync>;
