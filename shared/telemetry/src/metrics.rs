//! One registry of metrics per service, and the kinds of metrics there are.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use types::ServiceName;

pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// The labels of one member of a [`Family`], such as `[("outcome", "committed")]`. Whoever fills them in
/// sees to it that their values come from a small, fixed set.
pub type Labels<const N: usize> = [(&'static str, &'static str); N];

/// The metrics of one service. Clones are the same registry; there is no global one.
#[derive(Clone)]
pub struct Metrics(Arc<Mutex<Registered>>);

struct Registered {
    registry: Registry,
    // What was registered under each name, so that two parts that count the same thing count together.
    by_name: BTreeMap<String, Box<dyn Any + Send>>,
}

impl Metrics {
    /// The content type of what [`Metrics::render`] gives.
    pub const CONTENT_TYPE: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// The registry of `service`. Every metric carries its name as the label `service`, since several
    /// services may live in one process; `flotilla_build_info` tells the version.
    pub fn new(service: &ServiceName, version: &str) -> Self {
        let label = ("service".into(), service.as_str().to_owned().into());
        let mut registry = Registry::with_labels(std::iter::once(label));
        let build = Info::new([("version", version.to_owned())]);
        registry.register("flotilla_build", "The version of this build", build);
        Self(Arc::new(Mutex::new(Registered { registry, by_name: BTreeMap::new() })))
    }

    /// Registers `metric` and gives it back, or the one that is already registered under this name.
    /// A counter's name goes without `_total`, which is added to the text.
    ///
    /// # Panics
    /// When the name is taken by another kind of metric: a mistake in the code that the first start finds.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        let mut registered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = registered.by_name.get(name) {
            let earlier = earlier.downcast_ref::<M>();
            return earlier.expect("one name is used for one kind of metric").clone();
        }
        registered.by_name.insert(name.to_owned(), Box::new(metric.clone()));
        registered.registry.register(name, help.trim_end_matches('.'), metric.clone());
        metric
    }

    /// Registers a gauge that is read by calling `read` whenever the metrics are asked for.
    pub fn gauge(&self, name: &str, help: &str, read: impl Fn() -> i64 + Send + Sync + 'static) {
        self.register(name, help, ReadGauge(Arc::new(read)));
    }

    /// All metrics as OpenMetrics text.
    pub fn render(&self) -> String {
        let registered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        text::encode(&mut text, &registered.registry).expect("writing to a string cannot fail");
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[derive(Clone)]
struct ReadGauge(Arc<dyn Fn() -> i64 + Send + Sync>);

impl EncodeMetric for ReadGauge {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&(self.0)())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

impl fmt::Debug for ReadGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadGauge")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> Metrics {
        Metrics::new(&ServiceName::new("user-service"), "1.2.3")
    }

    #[test]
    fn every_metric_carries_its_service_and_the_build_is_told() {
        let metrics = metrics();
        metrics.register("accounts_created", "Accounts that were created.", Counter::<u64>::default()).inc();
        metrics.gauge("queue_length", "Jobs that wait", || 7);
        assert_eq!(
            metrics.render(),
            "# HELP flotilla_build The version of this build.\n\
             # TYPE flotilla_build info\n\
             flotilla_build_info{service=\"user-service\",version=\"1.2.3\"} 1\n\
             # HELP accounts_created Accounts that were created.\n\
             # TYPE accounts_created counter\n\
             accounts_created_total{service=\"user-service\"} 1\n\
             # HELP queue_length Jobs that wait.\n\
             # TYPE queue_length gauge\n\
             queue_length{service=\"user-service\"} 7\n\
             # EOF\n"
        );
    }

    #[test]
    fn two_parts_that_register_one_name_count_together() {
        let metrics = metrics();
        for _ in 0..2 {
            metrics.register("commits", "Commits", Counter::<u64>::default()).inc();
        }
        let text = metrics.render();
        assert!(text.contains("commits_total{service=\"user-service\"} 2\n"), "{text}");
        assert_eq!(text.matches("# TYPE commits counter").count(), 1, "{text}");
    }

    #[test]
    #[should_panic(expected = "one name is used for one kind of metric")]
    fn one_name_for_two_kinds_of_metric_is_found_at_the_first_start() {
        let metrics = metrics();
        metrics.register("commits", "Commits", Counter::<u64>::default());
        metrics.register("commits", "Commits", Gauge::<i64>::default());
    }

    #[test]
    fn labels_are_escaped_as_the_format_asks() {
        let metrics = metrics();
        let family = Family::<Labels<1>, Counter>::default();
        metrics.register("odd", "Odd", family).get_or_create(&[("why", "a\"b\\c\nd")]).inc();
        let text = metrics.render();
        assert!(text.contains(r#"odd_total{service="user-service",why="a\"b\\c\nd"} 1"#), "{text}");
    }
}
