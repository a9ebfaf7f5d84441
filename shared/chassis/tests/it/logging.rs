//! What the log says of requests that failed.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use chassis::{Kind, Problem};
use tonic::Status;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use types::{Classify, ErrorClass};

use crate::harness::Setup;

#[derive(Debug, thiserror::Error)]
#[error("tea cannot be had")]
struct Refusal(ErrorClass, #[source] std::io::Error);

impl Classify for Refusal {
    fn class(&self) -> ErrorClass {
        self.0
    }
}

fn refusal(class: ErrorClass) -> Refusal {
    Refusal(class, std::io::Error::other("out of leaves"))
}

/// As a service answers over gRPC: by a status that knows its cause.
fn status(class: ErrorClass) -> Status {
    let mut status = proto::status::of_error(&refusal(class));
    status.set_source(Arc::new(refusal(class)));
    status
}

/// What is said from warnings on.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut said = self.0.lock().unwrap();
        said.push_str(event.metadata().level().as_str());
        event.record(&mut Line(&mut said));
        said.push('\n');
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What is logged of one request to each of some paths, when every handler fails with its class.
async fn logged(kind: Kind, fail: fn(ErrorClass) -> axum::response::Response) -> String {
    let log = Log::default();
    let _until_the_end = tracing::subscriber::set_default(log.clone());
    let mut router = Router::new();
    for class in ErrorClass::ALL {
        router = router.route(&format!("/{}", class.as_str()), post(async move || fail(class)));
    }
    let world = Setup { kind, ..Setup::of(router) }.on_loopback().await;
    for class in ErrorClass::ALL {
        let head = "Host: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n";
        world.ask(format!("POST /{} HTTP/1.1\r\n{head}", class.as_str())).await;
    }
    world.ask("GET / HTTP/1.2\r\nHost: a\r\n\r\n".to_owned()).await;
    let said = log.0.lock().unwrap();
    said.clone()
}

#[tokio::test]
async fn a_failure_is_logged_once_with_its_causes_and_a_mistake_of_the_caller_never() {
    let failures = "\
WARN message=request failed class=\"unavailable\" detail=\"tea cannot be had\" cause=\"out of leaves\"
WARN message=request failed class=\"unknown\" detail=\"tea cannot be had\" cause=\"out of leaves\"
ERROR message=request failed class=\"internal\" detail=\"tea cannot be had\" cause=\"out of leaves\"
";
    let over_http = logged(Kind::Http, |class| {
        axum::response::IntoResponse::into_response(Problem::from(refusal(class)))
    });
    assert_eq!(over_http.await, failures);
    assert_eq!(logged(Kind::Grpc, |class| status(class).into_http::<Body>()).await, failures);
}

#[tokio::test(start_paused = true)]
async fn of_very_many_failures_some_are_logged_and_how_many_are_not() {
    let log = Log::default();
    let _until_the_end = tracing::subscriber::set_default(log.clone());
    let fail = async || Problem::from(refusal(ErrorClass::Unavailable));
    let world = Setup::of(Router::new().route("/", get(fail))).in_memory().await;
    let ask = async || world.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    for _ in 0..150 {
        ask().await;
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    ask().await;
    let said = log.0.lock().unwrap();
    let lines: Vec<_> = said.lines().filter(|line| line.contains("request failed")).collect();
    assert_eq!(lines.len(), 101, "{said}");
    assert!(lines[100].ends_with(" left_out=50"), "{}", lines[100]);
}
