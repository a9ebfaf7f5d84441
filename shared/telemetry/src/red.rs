//! Rate, errors and duration of what a service answers, in the names of the OpenTelemetry conventions.

mod http;
mod outcomes;
mod rpc;

use std::fmt;
use std::sync::Arc;

use ::http::Method;

pub use self::http::HttpRequest;
pub use self::rpc::RpcCall;

use crate::Metrics;
use crate::metrics::{Counter, Family, Histogram, Labels};

/// A value that is not among those we know. Whatever a caller sends, labels come from a bounded set.
const OTHER: &str = "_OTHER";

/// The conventions' bounds in seconds, and three below them: most answers here take less than 5 ms.
const BUCKETS: [f64; 17] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

fn duration() -> Histogram {
    Histogram::new(BUCKETS)
}

/// Measures every request a service answers, per HTTP route and per gRPC method.
#[derive(Clone)]
pub struct Red {
    http: Arc<http::Series>,
    rpc: Arc<rpc::Series>,
    panics: Counter,
    shed: Family<Labels<1>, Counter>,
}

impl Red {
    /// Registers the metrics.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            http: Arc::new(http::Series::new(metrics)),
            rpc: Arc::new(rpc::Series::new(metrics)),
            panics: metrics.register("flotilla_panics", "Requests that ended in a panic", Counter::default()),
            shed: metrics.register(
                "flotilla_requests_shed",
                "Requests that were refused because there was too much to do",
                Family::default(),
            ),
        }
    }

    /// An HTTP request has arrived. Tell the returned value how it was answered; when it is dropped without
    /// that, the client went away, which counts as the status 499.
    pub fn http(&self, method: &Method) -> HttpRequest {
        HttpRequest::arrived(&self.http, method)
    }

    /// Makes gRPC methods (as paths, such as `/userservice.UserService/GetUser`) known. Calls of others
    /// count as `_OTHER`, since their names are whatever the caller wrote.
    pub fn know_rpcs<'a>(&self, paths: impl IntoIterator<Item = &'a str>) {
        self.rpc.know(paths);
    }

    /// A gRPC call of `path` has arrived. Tell the returned value its status; when it is dropped without
    /// that, it counts as `CANCELLED`.
    pub fn rpc(&self, path: &str) -> RpcCall {
        RpcCall::arrived(&self.rpc, path)
    }

    /// A request of this priority was refused because there was too much to do.
    pub fn shed(&self, priority: &'static str) {
        self.shed.get_or_create(&[("priority", priority)]).inc();
    }

    /// A request ended in a panic.
    pub fn panicked(&self) {
        self.panics.inc();
    }
}

impl fmt::Debug for Red {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Red")
    }
}

#[cfg(test)]
mod tests {
    use types::ServiceName;

    use super::*;

    #[test]
    fn panics_are_counted() {
        let metrics = Metrics::new(&ServiceName::new("user-service"), "1");
        Red::new(&metrics).panicked();
        let text = metrics.render();
        assert!(text.contains("flotilla_panics_total{service=\"user-service\"} 1\n"), "{text}");
    }
}
