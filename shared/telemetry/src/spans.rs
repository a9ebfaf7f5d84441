use tracing::Span;
use types::ServiceName;

use crate::TraceContext;

/// The span that everything a service does lives in; its name stands on each of its log lines.
///
/// Both spans here are of the highest level, so that no filter which still lets an error through takes away
/// what tells where the error comes from.
pub fn service_span(service: &ServiceName) -> Span {
    tracing::error_span!("service", service = service.as_str())
}

/// The span of one request, inside its service's span.
pub fn request_span(request_id: &str, trace: &TraceContext) -> Span {
    tracing::error_span!("request", request_id, trace_id = trace.trace_bytes(), span_id = trace.span_bytes(),)
}
