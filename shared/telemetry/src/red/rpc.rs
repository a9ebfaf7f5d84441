use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabel as _, EncodeLabelSet, LabelSetEncoder};
use tokio::time::Instant;

use super::outcomes::{Named, Outcomes};
use super::{OTHER, duration};
use crate::Metrics;
use crate::metrics::{Family, Gauge, Histogram};

/// The names of the gRPC status codes, by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
const CANCELLED: &str = CODES[1];

pub(super) struct Series {
    duration: Family<RpcLabels, Histogram, fn() -> Histogram>,
    active: Family<MethodLabel, Gauge>,
    methods: Outcomes<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RpcLabels {
    method: Arc<str>,
    code: &'static str,
}

impl EncodeLabelSet for RpcLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        ("rpc_system_name", "grpc").encode(encoder.encode_label())?;
        ("rpc_method", &*self.method).encode(encoder.encode_label())?;
        ("rpc_response_status_code", self.code).encode(encoder.encode_label())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct MethodLabel(Arc<str>);

impl EncodeLabelSet for MethodLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        ("rpc_method", &*self.0).encode(encoder.encode_label())
    }
}

impl Series {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            duration: metrics.register(
                "rpc_server_call_duration_seconds",
                "Time from a call's head to its status",
                Family::new_with_constructor(duration as fn() -> Histogram),
            ),
            active: metrics.register(
                "rpc_server_active_calls",
                "Calls that are being answered",
                Family::default(),
            ),
            methods: Outcomes::new(),
        }
    }

    pub(super) fn know<'a>(&self, paths: impl IntoIterator<Item = &'a str>) {
        for path in paths {
            self.methods.get_or_learn(full_name(path));
        }
    }
}

/// `package.Service/Method`, which is how the conventions name a method.
fn full_name(path: &str) -> &str {
    path.strip_prefix('/').unwrap_or(path)
}

/// One gRPC call that is being answered.
#[must_use = "dropped at once, it counts as cancelled"]
pub struct RpcCall {
    series: Arc<Series>,
    method: Arc<Named<&'static str>>,
    started: Instant,
    code: &'static str,
}

impl RpcCall {
    pub(super) fn arrived(series: &Arc<Series>, path: &str) -> Self {
        let method = series.methods.get(full_name(path));
        let call = Self { series: Arc::clone(series), method, started: Instant::now(), code: CANCELLED };
        call.active().inc();
        call
    }

    fn active(&self) -> &Gauge {
        let label = || MethodLabel(Arc::clone(&self.method.name));
        self.method.active(|| self.series.active.get_or_create_owned(&label()))
    }

    /// It was answered with the gRPC status code `code`.
    pub fn answered(mut self, code: i32) {
        self.code = usize::try_from(code).ok().and_then(|code| CODES.get(code)).unwrap_or(&OTHER);
    }
}

impl Drop for RpcCall {
    fn drop(&mut self) {
        self.active().dec();
        self.method.observe(self.code, self.started.elapsed().as_secs_f64(), || {
            let labels = RpcLabels { method: Arc::clone(&self.method.name), code: self.code };
            self.series.duration.get_or_create_owned(&labels)
        });
    }
}

impl fmt::Debug for RpcCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcCall").field("method", &self.method.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use types::ServiceName;

    use super::*;
    use crate::Red;

    #[tokio::test]
    async fn calls_are_told_by_method_and_status_and_unknown_methods_share_one_series() {
        let metrics = Metrics::new(&ServiceName::new("user-service"), "1");
        let red = Red::new(&metrics);
        red.know_rpcs(["/userservice.UserService/GetUser"]);
        red.rpc("/userservice.UserService/GetUser").answered(5);
        drop(red.rpc("/userservice.UserService/GetUser"));
        for number in 0..100 {
            red.rpc(&format!("/made.Up/Method{number}")).answered(7 + 1_000 * (number % 2));
        }
        let text = metrics.render();
        let mut counts: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("rpc_server_call_duration_seconds_count"))
            .collect();
        counts.sort_unstable();
        let get_user = "rpc_method=\"userservice.UserService/GetUser\"";
        let common = "{service=\"user-service\",rpc_system_name=\"grpc\",";
        assert_eq!(
            counts,
            [
                format!("{common}rpc_method=\"_OTHER\",rpc_response_status_code=\"PERMISSION_DENIED\"}} 50"),
                format!("{common}rpc_method=\"_OTHER\",rpc_response_status_code=\"_OTHER\"}} 50"),
                format!("{common}{get_user},rpc_response_status_code=\"CANCELLED\"}} 1"),
                format!("{common}{get_user},rpc_response_status_code=\"NOT_FOUND\"}} 1"),
            ]
        );
        assert!(text.contains("rpc_server_active_calls{service=\"user-service\",rpc_method=\"_OTHER\"} 0"));
    }
}
