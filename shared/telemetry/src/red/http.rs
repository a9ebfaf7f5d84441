use std::fmt;
use std::sync::Arc;

use http::{Method, StatusCode};
use prometheus_client::encoding::{EncodeLabel as _, EncodeLabelSet, LabelSetEncoder};
use tokio::time::Instant;

use super::outcomes::{Named, Outcomes};
use super::{OTHER, duration};
use crate::Metrics;
use crate::metrics::{Family, Gauge, Histogram, Labels};

/// The methods of RFC 9110 and PATCH; any other is `_OTHER`.
const METHODS: [&str; 9] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"];

/// Not a registered status: the client went away before it had its answer (as nginx tells it).
const CLIENT_GONE: u16 = 499;

/// Method and status.
type Outcome = (&'static str, u16);

pub(super) struct Series {
    duration: Family<HttpLabels, Histogram, fn() -> Histogram>,
    active: Family<Labels<1>, Gauge>,
    routes: Outcomes<Outcome>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct HttpLabels {
    method: &'static str,
    route: Arc<str>,
    status: u16,
}

impl EncodeLabelSet for HttpLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        ("http_request_method", self.method).encode(encoder.encode_label())?;
        ("http_route", &*self.route).encode(encoder.encode_label())?;
        ("http_response_status_code", self.status).encode(encoder.encode_label())
    }
}

impl Series {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            duration: metrics.register(
                "http_server_request_duration_seconds",
                "Time from a request's head to the end of its answer",
                Family::new_with_constructor(duration as fn() -> Histogram),
            ),
            active: metrics.register(
                "http_server_active_requests",
                "Requests that are being answered",
                Family::default(),
            ),
            routes: Outcomes::new(),
        }
    }
}

/// One HTTP request that is being answered.
#[must_use = "dropped at once, it counts as a client that went away"]
pub struct HttpRequest {
    series: Arc<Series>,
    method: &'static str,
    started: Instant,
    active: Gauge,
    answer: Option<(Arc<Named<Outcome>>, u16)>,
}

impl HttpRequest {
    pub(super) fn arrived(series: &Arc<Series>, method: &Method) -> Self {
        let method = METHODS.into_iter().find(|&known| known == method.as_str()).unwrap_or(OTHER);
        let active = series.active.get_or_create_owned(&[("http_request_method", method)]);
        active.inc();
        Self { series: Arc::clone(series), method, started: Instant::now(), active, answer: None }
    }

    /// It was answered. `route` is the pattern that matched, such as `/users/{id}`, and never the path
    /// itself; `None` where nothing matched.
    pub fn answered(mut self, route: Option<&str>, status: StatusCode) {
        self.end(route, status.as_u16());
    }

    /// The client went away before it had its answer, which was to come from `route`.
    pub fn left(mut self, route: Option<&str>) {
        self.end(route, CLIENT_GONE);
    }

    fn end(&mut self, route: Option<&str>, status: u16) {
        self.answer = Some((self.series.routes.get_or_learn(route.unwrap_or("")), status));
    }
}

impl Drop for HttpRequest {
    fn drop(&mut self) {
        self.active.dec();
        let answer = self.answer.take();
        let (route, status) = answer.unwrap_or_else(|| (self.series.routes.get_or_learn(""), CLIENT_GONE));
        let method = self.method;
        route.observe((method, status), self.started.elapsed().as_secs_f64(), || {
            let labels = HttpLabels { method, route: Arc::clone(&route.name), status };
            self.series.duration.get_or_create_owned(&labels)
        });
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use types::ServiceName;

    use super::*;
    use crate::Red;

    fn red() -> (Metrics, Red) {
        let metrics = Metrics::new(&ServiceName::new("user-service"), "1");
        let red = Red::new(&metrics);
        (metrics, red)
    }

    #[track_caller]
    fn assert_tells(metrics: &Metrics, lines: &[&str]) {
        let text = metrics.render();
        for line in lines {
            assert!(text.lines().any(|told| told == *line), "no {line} in\n{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_in_flight_and_then_counted_with_its_route_and_status() {
        let (metrics, red) = red();
        let request = red.http(&Method::GET);
        let active = r#"http_server_active_requests{service="user-service",http_request_method="GET"}"#;
        assert_tells(&metrics, &[&format!("{active} 1")]);

        tokio::time::advance(Duration::from_millis(3)).await;
        request.answered(Some("/users/{id}"), StatusCode::NOT_FOUND);
        let labels = concat!(
            r#"service="user-service",http_request_method="GET","#,
            r#"http_route="/users/{id}",http_response_status_code="404""#
        );
        let name = "http_server_request_duration_seconds";
        assert_tells(
            &metrics,
            &[
                &format!("{active} 0"),
                &format!("{name}_count{{{labels}}} 1"),
                &format!("{name}_sum{{{labels}}} 0.003"),
                &format!("{name}_bucket{{{}}} 0", labels.replacen(",", ",le=\"0.0025\",", 1)),
                &format!("{name}_bucket{{{}}} 1", labels.replacen(",", ",le=\"0.005\",", 1)),
            ],
        );
    }

    #[tokio::test]
    async fn a_client_that_goes_away_is_counted_as_such() {
        let (metrics, red) = red();
        drop(red.http(&Method::POST));
        let text = metrics.render();
        assert!(
            text.contains(r#"http_request_method="POST",http_route="",http_response_status_code="499"} 1"#),
            "{text}"
        );
    }

    #[tokio::test]
    async fn methods_that_callers_invent_share_one_series() {
        let (metrics, red) = red();
        for number in 0..1_000 {
            let method = Method::from_bytes(format!("BREW{number}").as_bytes()).unwrap();
            red.http(&method).answered(None, StatusCode::METHOD_NOT_ALLOWED);
        }
        let text = metrics.render();
        assert_eq!(text.matches("http_server_request_duration_seconds_count").count(), 1, "{text}");
        assert!(text.contains("http_request_method=\"_OTHER\""), "{text}");
    }
}
