use std::time::Duration;

use http::Extensions;
use runtime::Deadline;
use telemetry::TraceContext;

/// For a call that says nothing of its own: as long as our services work on a request.
const DEFAULT: Duration = Duration::from_secs(30);

/// What a call is given on its way, beside its message.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) deadline: Deadline,
    /// Whether the deadline is for all of the answer, and not only for its head.
    pub(crate) whole: bool,
    pub(crate) trace: Option<TraceContext>,
}

impl Call {
    pub(crate) fn take(extensions: &mut Extensions) -> Self {
        let default = || Self { deadline: Deadline::within(DEFAULT), whole: true, trace: None };
        extensions.remove().unwrap_or_else(default)
    }
}

/// A request that is answered once, by `deadline`, which the callee is told. It belongs to `trace`.
pub fn request<T>(message: T, deadline: Deadline, trace: Option<&TraceContext>) -> tonic::Request<T> {
    with(message, Call { deadline, whole: true, trace: trace.cloned() })
}

/// A request that is answered by a stream, which begins by `deadline` and ends when it ends.
pub fn streaming<T>(message: T, deadline: Deadline, trace: Option<&TraceContext>) -> tonic::Request<T> {
    with(message, Call { deadline, whole: false, trace: trace.cloned() })
}

fn with<T>(message: T, call: Call) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.extensions_mut().insert(call);
    request
}
