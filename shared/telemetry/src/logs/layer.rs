use runtime::Clock;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::LogFormat;
use super::fields::Fields;
use super::line::Line;

/// Writes a line for each event. The fields of the spans around an event stand on its line as if they were
/// its own, the inner before the outer.
pub(super) struct LogLayer<W> {
    format: LogFormat,
    clock: Clock,
    write: W,
}

impl<W: Fn(String)> LogLayer<W> {
    pub(super) fn new(format: LogFormat, clock: Clock, write: W) -> Self {
        Self { format, clock, write }
    }
}

/// The line that tells how many are missing.
pub(super) fn told_of_dropped(format: LogFormat, dropped: u64) -> String {
    let fields = Fields::of_message("log lines were dropped, since nobody read them", ("dropped", dropped));
    let line =
        Line { at: Clock::system().now(), level: Level::WARN, target: module_path!(), fields: &fields };
    line.render(format)
}

impl<S, W> Layer<S> for LogLayer<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn(String) + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let log_target = fields.take_log_target();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.inherit(outer);
            }
        }
        fields.redact();
        let metadata = event.metadata();
        let target = log_target.as_deref().unwrap_or(metadata.target());
        let line = Line { at: self.clock.now(), level: *metadata.level(), target, fields: &fields };
        (self.write)(line.render(self.format));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing_subscriber::layer::SubscriberExt as _;
    use types::{ServiceName, Timestamp};

    use super::*;
    use crate::{LogFilter, TraceContext, request_span, service_span};

    /// What is written while `work` runs, at the first second of 2026.
    fn logged(format: LogFormat, filter: &str, work: impl FnOnce()) -> String {
        logged_by(format, &LogFilter::new(filter).unwrap(), work)
    }

    fn logged_by(format: LogFormat, filter: &LogFilter, work: impl FnOnce()) -> String {
        let written = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&written);
        let clock = Clock::reading(|| Timestamp::from_micros(1_767_225_600_000_000));
        let layer = LogLayer::new(format, clock, move |line: String| sink.lock().unwrap().push_str(&line));
        let subscriber = tracing_subscriber::registry().with(filter.layer()).with(layer);
        tracing::subscriber::with_default(subscriber, work);
        written.lock().unwrap().clone()
    }

    fn in_a_request(work: impl FnOnce()) {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = TraceContext::parse(parent, None).unwrap();
        service_span(&ServiceName::new("user-service"))
            .in_scope(|| request_span("0190b3c8", &trace).in_scope(work));
    }

    #[test]
    fn a_json_line_tells_the_service_the_trace_and_the_request() {
        let text = logged(LogFormat::Json, "info", || {
            in_a_request(|| tracing::info!(user = 7, slow = true, "account created"));
        });
        assert!(text.ends_with("}\n"));
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            line,
            json!({
                "timestamp": "2026-01-01T00:00:00.000000Z",
                "level": "INFO",
                "message": "account created",
                "service": "user-service",
                "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
                "span_id": "00f067aa0ba902b7",
                "request_id": "0190b3c8",
                "user": 7,
                "slow": true,
                "target": module_path!(),
            })
        );
    }

    #[test]
    fn a_human_line_tells_the_same_without_the_ids_of_the_trace() {
        let text = logged(LogFormat::Human, "info", || {
            in_a_request(|| tracing::warn!(user = 7, "slow answer"));
        });
        let target = module_path!();
        assert_eq!(
            text,
            format!(
                "2026-01-01T00:00:00.000000Z  WARN user-service {target}: slow answer user=7 request_id=0190b3c8\n"
            )
        );
    }

    #[test]
    fn an_error_tells_its_request_under_every_filter_that_lets_it_through() {
        for filter in ["error", "warn", "telemetry=debug", ""] {
            let text = logged(LogFormat::Json, filter, || in_a_request(|| tracing::error!("broken")));
            assert!(text.contains(r#""service":"user-service""#), "{filter}: {text}");
            assert!(text.contains(r#""request_id":"0190b3c8""#), "{filter}: {text}");
        }
        assert_eq!(logged(LogFormat::Json, "off", || in_a_request(|| tracing::error!("broken"))), "");
    }

    #[test]
    fn a_filter_that_changes_holds_for_what_is_logged_from_then_on() {
        let filter = LogFilter::new("off").unwrap();
        let work = || {
            let say = |what: &str| tracing::info!("{what}");
            in_a_request(|| {
                say("too early");
                assert_eq!(filter.set("info").unwrap(), "off");
                say("in time");
                assert!(filter.set("loud").is_err());
                say("still");
                assert_eq!(filter.set("warn,user_service=debug").unwrap(), "info");
                say("too late");
            });
        };
        let text = logged_by(LogFormat::Json, &filter, work);
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let told: Vec<_> = lines.map(|line| (line["message"].clone(), line["service"].clone())).collect();
        assert_eq!(told, ["in time", "still"].map(|message| (json!(message), json!("user-service"))));
        assert_eq!(filter.text(), "warn,user_service=debug");
    }

    #[test]
    fn the_inner_field_stands_before_the_outer_and_a_late_one_is_seen() {
        let text = logged(LogFormat::Json, "info", || {
            let span = tracing::info_span!("work", step = "first", outcome = tracing::field::Empty);
            span.in_scope(|| {
                span.record("outcome", "done");
                tracing::info!(step = "second");
            });
        });
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["step"], &line["outcome"]), (&json!("second"), &json!("done")));
    }

    #[test]
    fn a_secret_is_never_written() {
        for format in [LogFormat::Human, LogFormat::Json] {
            let text = logged(format, "info", || {
                let _span = tracing::info_span!("login", db_password = "hunter2").entered();
                tracing::info!(authorization = %"hunter2", access_token = ?"hunter2", "login");
            });
            assert!(!text.contains("hunter2"), "{text}");
            assert_eq!(text.matches("[redacted]").count(), 3, "{text}");
        }
    }

    #[test]
    fn a_text_from_outside_cannot_forge_a_line() {
        let evil = "x\n2026 ERROR \"forged\"\u{1b}[2J\\";
        let human = logged(LogFormat::Human, "info", || tracing::info!(name = evil, "{evil}"));
        assert_eq!(human.lines().count(), 1, "{human}");
        assert!(!human.contains('\u{1b}'), "{human}");

        let text = logged(LogFormat::Json, "info", || tracing::info!(name = evil, "{evil}"));
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["message"], &line["name"]), (&json!(evil), &json!(evil)));
    }

    #[test]
    fn a_field_cannot_take_the_place_of_the_lines_own() {
        let text = logged(LogFormat::Json, "info", || {
            tracing::info!(level = "fake", ratio = f64::INFINITY, share = 0.5, "odd");
        });
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["level"], &line["field.level"]), (&json!("INFO"), &json!("fake")));
        assert_eq!((&line["ratio"], &line["share"]), (&json!("inf"), &json!(0.5)));
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("opening the store")]
        struct Open(#[source] std::fmt::Error);
        let text = logged(LogFormat::Json, "info", || {
            let error = Open(std::fmt::Error);
            tracing::error!(error = &error as &dyn std::error::Error, "cannot start");
        });
        let line: Value = serde_json::from_str(&text).unwrap();
        let cause = std::fmt::Error.to_string();
        assert_eq!(line["error"], json!(format!("opening the store: {cause}")));
    }
}
