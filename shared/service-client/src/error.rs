use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use resilience::{BulkheadError, Open};
use service_auth::TlsError;
use tonic::Status;
use types::{Classify, ErrorClass, FieldError, ServiceName};

use crate::ConnectError;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Discovery knows no instance.
    #[error("no instance of {0} is known")]
    Nobody(ServiceName),
    /// There is no connection to any instance.
    #[error("no instance of {service} can be reached")]
    Unreached {
        /// Which service.
        service: ServiceName,
        /// Why not the last one that was tried.
        source: Arc<ConnectError>,
    },
    /// The circuit breaker of every instance is open.
    #[error("no instance of {service} has answered lately")]
    Open {
        /// Which service.
        service: ServiceName,
        /// When the first of them is tried again.
        source: Open,
    },
    /// Every instance is taken up by other requests, and as many as may wait do so already.
    #[error("the instances of {0} are taken up by other requests")]
    Full(ServiceName),
    /// The deadline passed before the request was sent.
    #[error("the deadline passed before the request was sent")]
    Spent,
    /// Each connection ended before the request was sent.
    #[error("no connection lasted until the request was sent")]
    Unsent(#[source] hyper::Error),
    /// The callee said that it has not begun with the request, as it does when it takes its leave or does not believe
    /// whoever calls.
    #[error("the callee did not take up the request")]
    Refused(#[source] hyper::Error),
    /// The deadline passed before the answer.
    #[error("the deadline passed before the answer; it may have taken effect")]
    Late,
    /// The instance said nothing to anybody for so long that the request was given up.
    #[error("the instance that was asked has fallen silent; it may have taken effect")]
    Silent,
    /// Something on the way has answered in the place of the callee, and does not say whether that was asked.
    #[error("the service is not available to something on the way to it; it may have taken effect")]
    Vague,
    /// The connection was lost before the answer, or with only a part of it.
    #[error("the connection was lost before the answer; it may have taken effect")]
    Lost(#[source] hyper::Error),
    /// The request's body could not be read to its end; the source says why.
    #[error("the request's body did not come to its end")]
    Body(#[source] hyper::Error),
}

impl SendError {
    pub(crate) fn crowded(service: &ServiceName, error: BulkheadError) -> Self {
        match error {
            BulkheadError::Full => Self::Full(service.clone()),
            BulkheadError::Late => Self::Spent,
        }
    }

    /// Whether it says something of one instance, so that another may do better.
    pub(crate) fn is_of_an_instance(&self) -> bool {
        matches!(self, Self::Unsent(_) | Self::Refused(_) | Self::Silent | Self::Lost(_))
    }

    /// From an error that came when the request may have been on its way.
    pub(crate) fn after_sending(error: hyper::Error) -> Self {
        let http2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
        let is_refused = http2.is_some_and(|error| {
            // GOAWAY is an answer to the streams that it says will not be processed (RFC 9113, section 6.8).
            error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
        });
        match () {
            () if is_refused || TlsError::is_refusal(&error) => Self::Refused(error),
            () if error.is_user() => Self::Body(error),
            () => Self::Lost(error),
        }
    }
}

impl Classify for SendError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Nobody(_)
            | Self::Unreached { .. }
            | Self::Open { .. }
            | Self::Full(_)
            | Self::Spent
            | Self::Unsent(_)
            | Self::Refused(_) => ErrorClass::Unavailable,
            Self::Late | Self::Silent | Self::Vague | Self::Lost(_) => ErrorClass::Unknown,
            Self::Body(_) => ErrorClass::Invalid,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Open { source, .. } => source.retry_after(),
            _ => None,
        }
    }
}

/// The status by which a caller of gRPC is told.
impl From<SendError> for Status {
    fn from(error: SendError) -> Self {
        let mut status = proto::status::of_error(&error);
        status.set_source(Arc::new(error));
        status
    }
}

/// Why a call failed: what the callee said, or that it said nothing.
///
/// Its class is about what was asked for. A callee that refuses the service which calls, whatever the user may do, is
/// [`ErrorClass::Internal`]: the two were not deployed to work together.
#[derive(Clone)]
pub struct CallError {
    class: ErrorClass,
    status: Status,
}

impl CallError {
    /// What is wrong, in words.
    pub fn message(&self) -> &str {
        self.status.message()
    }

    /// The fields that are wrong.
    pub fn fields(&self) -> Vec<FieldError> {
        proto::status::fields(&self.status)
    }
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        let class = match proto::status::class(&status) {
            _ if proto::status::refuses_caller(&status) => ErrorClass::Internal,
            class => class,
        };
        Self { class, status }
    }
}

impl Classify for CallError {
    fn class(&self) -> ErrorClass {
        self.class
    }

    fn retry_after(&self) -> Option<Duration> {
        proto::status::retry_after(&self.status)
    }
}

impl Error for CallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.status.source()?;
        // The message has told it already.
        source.downcast_ref().map_or(Some(source), SendError::source)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl fmt::Debug for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallError").field("class", &self.class).field("status", &self.status).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_calls_is_told_when_an_instance_is_tried_again() {
        let minute = Duration::from_secs(60);
        let open = SendError::Open {
            service: ServiceName::new("user-service"),
            source: Open { retry_after: minute },
        };
        let told = CallError::from(Status::from(open));
        assert_eq!((told.class(), told.retry_after()), (ErrorClass::Unavailable, Some(minute)));
        let nobody = CallError::from(Status::from(SendError::Nobody(ServiceName::new("user-service"))));
        assert_eq!((nobody.class(), nobody.retry_after()), (ErrorClass::Unavailable, None));
    }
}
