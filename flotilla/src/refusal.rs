use std::error::Error;
use std::fmt;

use service_client::CallError;
use tonic::Status;
use types::{Classify, ErrorClass};

/// Why a service did not do what an operator asked for.
#[derive(Debug)]
pub(crate) struct Refusal {
    class: ErrorClass,
    call: CallError,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        // Between services a certificate that is refused is a fault of the platform. Here the operator has chosen it.
        Self { class: proto::status::class(&status), call: status.into() }
    }
}

impl Classify for Refusal {
    fn class(&self) -> ErrorClass {
        self.class
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.call)?;
        let fields = self.call.fields();
        // One that concerns a single field may have said it already.
        let unsaid = fields.iter().filter(|field| field.detail != self.call.message());
        unsaid
            .into_iter()
            .try_for_each(|field| write!(f, "; {}: {}", field.pointer.trim_start_matches('/'), field.detail))
    }
}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.call.source()
    }
}
