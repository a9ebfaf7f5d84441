//! The only way to call another service: gRPC by a [`Channel`], proxied HTTP by an [`HttpClient`].
//!
//! For both, from outside in: the deadline, which bounds everything and goes out with the request; an instance of
//! the service, each in its turn, those last that are full or do not let us in; a connection to it over mTLS with whoever
//! the service's SPIFFE id says and nobody else. What was certainly not sent is tried elsewhere. Nothing else is
//! tried twice here: whether a request may be repeated is its caller's to know.

mod outbound;
mod request;
mod channel;
mod http_client;
mod instances;
mod dialer;
mod heard;
mod timeout;
mod error;

pub use channel::{Answered, Channel};
pub use dialer::ConnectError;
pub use error::{CallError, SendError};
pub use http_client::{HttpClient, Proxied};
pub use outbound::Outbound;
pub use request::{request, streaming};
