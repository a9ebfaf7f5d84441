//! What the platform tells about itself: logs on stderr, metrics for Prometheus, and the trace context that
//! ties the work of several services together. The logger is the one thing here that is set once per
//! process; everything else is a value that its owner hands on.

pub mod metrics;

mod logs;
mod red;
mod spans;
mod trace_context;

pub use logs::{LogFilter, LogFormat, LogFormatError, Logs, LogsError};
pub use metrics::Metrics;
pub use red::{HttpRequest, Red, RpcCall};
pub use spans::{request_span, service_span};
pub use trace_context::TraceContext;
