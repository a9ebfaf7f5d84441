//! What comes with a request besides its content.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chassis::Problem;
use runtime::Deadline;
use telemetry::TraceContext;

/// By when a request is to be answered, and in which trace it is.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    /// When its answer is worth nothing any more.
    pub(crate) deadline: Deadline,
    /// Its trace; none where the service asks for itself.
    pub(crate) trace: Option<TraceContext>,
}

impl Asking {
    /// The same, to be answered within `budget` at the latest.
    pub(crate) fn within(&self, budget: Duration) -> Self {
        Self { deadline: self.deadline.at_most(budget), trace: self.trace.clone() }
    }

    /// By when something must have been read that is to be acted upon: early enough that there is time for that, and
    /// for telling for certain that nothing was done where it cannot be read.
    pub(crate) fn for_reading(&self) -> Deadline {
        Deadline::within(self.deadline.remaining() * 3 / 4)
    }
}

impl<S: Sync> FromRequestParts<S> for Asking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let deadline = parts.extensions.get().copied().expect("the chassis gives every request a deadline");
        Ok(Self { deadline, trace: parts.extensions.get().cloned() })
    }
}
