//! What the log tells of requests that failed.

use std::error::Error;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::response::Response;
use resilience::{KeyedLimiter, Quota};
use runtime::Random;
use tonic::Status;
use types::ErrorClass;

use crate::Problem;

/// Writes down what somebody here has to look into; the caller's own mistakes are told to the caller.
///
/// Failures come by the thousand when there is the least time and disk for them, and then they are all the same: of each
/// class only so many are written down, and how many were left out since. All of them are counted.
#[derive(Debug)]
pub(super) struct Failures {
    allowed: KeyedLimiter<ErrorClass>,
    left_out: AtomicU64,
}

impl Failures {
    /// All of a small disturbance; of a large one as much as anybody reads.
    const ALLOWED: Quota = Quota::per_second(
        NonZeroU32::new(10).expect("it is more than zero"),
        NonZeroU32::new(100).expect("it is more than zero"),
    );
    /// More than there are classes.
    const CLASSES: usize = 16;

    pub(super) fn new(random: &Random) -> Self {
        Self { allowed: KeyedLimiter::new(Self::ALLOWED, Self::CLASSES, random), left_out: AtomicU64::new(0) }
    }

    pub(super) fn log(&self, problem: &Problem) {
        // Of these there are many by intention.
        if is_ours(problem.class()) && !problem.is_of_overload() {
            let cause = || chain(problem.cause().and_then(|error| error.source()));
            self.write(problem.class(), problem.detail(), cause);
        }
    }

    /// The same for a refusal of a gRPC handler, which is a status and no problem. A status without details is none of
    /// ours: tonic refuses with such what a caller has done wrong.
    pub(super) fn log_status(&self, response: &Response) {
        let status = response.extensions().get::<Status>().filter(|status| !status.details().is_empty());
        let Some((status, class)) = status.map(|status| (status, proto::status::class(status))) else {
            return;
        };
        if is_ours(class) {
            let error = status.source();
            let detail = error.map_or_else(|| status.message().to_owned(), ToString::to_string);
            self.write(class, &detail, || chain(error.and_then(Error::source)));
        }
    }

    fn write(&self, class: ErrorClass, detail: &str, cause: impl FnOnce() -> String) {
        if self.allowed.check(&class).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let left_out = match self.left_out.swap(0, Ordering::Relaxed) {
            0 => None,
            more => Some(more),
        };
        let (name, cause) = (class.as_str(), cause());
        match class {
            ErrorClass::Internal => {
                tracing::error!(class = name, detail, cause, left_out, "request failed");
            }
            _ => tracing::warn!(class = name, detail, cause, left_out, "request failed"),
        }
    }
}

/// The status does not tell: 505 is for a version that nobody here has to do anything about.
fn is_ours(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::Unavailable | ErrorClass::Unknown | ErrorClass::Internal)
}

/// What brought an error about, whose own text is the detail: its source, that one's source and so on.
fn chain(source: Option<&(dyn Error + 'static)>) -> String {
    let sources = std::iter::successors(source, |&error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
