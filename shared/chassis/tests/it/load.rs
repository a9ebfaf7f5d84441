//! When there is too much to do.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use chassis::{Access, Bounds, Handler, Kind, Operation, Problem, RawHandler};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use insta::assert_snapshot;
use runtime::ComputeError;
use tokio::sync::Notify;
use tonic::Status;
use types::{Classify, ErrorClass};

use crate::harness::{RawClient, Setup, World};

/// As many of one operation as are let in before anything is known of it.
const FIRST: usize = 100;

/// Reads are answered at once, logins when they are let go.
fn town(let_go: &Arc<Notify>) -> Router {
    let waits = Arc::clone(let_go);
    let login = async move || {
        waits.notified().await;
        StatusCode::OK
    };
    Router::new().route("/read/{id}", get(async || "read")).route("/login", post(login))
}

async fn begin(world: &World, request: &str) -> RawClient {
    let mut client = world.connect().await;
    client.send(request).await;
    client
}

const LOGIN: &str = "POST /login HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
const READ: &str = "GET /read/7 HTTP/1.1\r\nhost: a\r\n\r\n";

/// So many logins under way.
async fn logins(world: &World, count: usize) -> Vec<RawClient> {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(begin(world, LOGIN).await);
    }
    // An answer to somebody else comes after all of them have been taken in.
    assert_eq!(world.ask(READ).await.status(), 200);
    clients
}

#[tokio::test(start_paused = true)]
async fn too_much_of_one_operation_is_refused_at_once_and_of_others_is_not() {
    let let_go = Arc::new(Notify::new());
    let world = unbounded_by_address(town(&let_go)).in_memory().await;
    let under_way = logins(&world, FIRST).await;
    let began = tokio::time::Instant::now();
    assert_snapshot!(world.ask(LOGIN).await, @r#"
    HTTP/1.1 503 Service Unavailable
    flotilla-overloaded: true
    content-type: application/problem+json
    retry-after: 1
    flotilla-retry: safe
    x-request-id: ID
    content-length: 178
    {"type":"urn:flotilla:problem:unavailable","title":"Not now; it did not happen","status":503,"detail":"there is too much to do","instance":"ID"}
    "#);
    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
    assert_eq!(world.ask(READ).await.body, "read");
    world.assert_counts(r#"flotilla_requests_shed_total{service="test-service",priority="users"} 1"#);

    let_go.notify_waiters();
    for mut client in under_way {
        assert_eq!(client.reply().await.status(), 200);
    }
    let mut again = begin(&world, LOGIN).await;
    assert_eq!(world.ask(READ).await.status(), 200);
    let_go.notify_waiters();
    assert_eq!(again.reply().await.status(), 200, "the places are free again");
}

fn unbounded_by_address(router: Router) -> Setup {
    let mut setup = Setup::of(router);
    setup.limits.per_address = setup.limits.connections;
    setup
}

#[tokio::test(start_paused = true)]
async fn a_stream_takes_no_place_once_it_has_begun() {
    let endless = async || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let world = unbounded_by_address(Router::new().route("/stream", get(endless))).in_memory().await;
    let mut streams = Vec::new();
    for _ in 0..FIRST * 2 {
        let mut client = begin(&world, "GET /stream HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(client.reply().await.status(), 200);
        streams.push(client);
    }
}

#[tokio::test(start_paused = true)]
async fn clients_that_send_slowly_take_no_place() {
    let echo = post(async |body: String| body);
    let world = unbounded_by_address(Router::new().route("/echo", echo)).in_memory().await;
    let head = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n";
    let mut slow = Vec::new();
    for _ in 0..FIRST * 2 {
        slow.push(begin(&world, &format!("{head}a")).await);
    }
    assert_eq!(world.ask(format!("{head}ok")).await.body, "ok");
    for mut client in slow {
        client.send("b").await;
        assert_eq!(client.reply().await.body, "ab");
    }
}

#[tokio::test(start_paused = true)]
async fn all_operations_have_one_cap() {
    let let_go = Arc::new(Notify::new());
    let mut setup = unbounded_by_address(town(&let_go));
    setup.bounds = Bounds { in_flight: 10, ..Bounds::default() };
    let world = setup.in_memory().await;
    let mut under_way = logins(&world, 8).await;
    under_way.push(begin(&world, LOGIN).await);
    until_refused(&world, READ).await;
}

/// The last place is the operators'.
async fn until_refused(world: &World, request: &str) {
    while world.ask(request).await.status() != 503 {
        tokio::time::advance(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_passed_on_has_the_cap_alone() {
    let handler = RawHandler::new(|_| std::future::pending());
    let mut setup = Setup::answering(Handler::Raw(handler));
    setup.limits.per_address = setup.limits.connections;
    setup.bounds = Bounds { in_flight: 200, ..Bounds::default() };
    let world = setup.in_memory().await;
    let mut under_way = Vec::new();
    for _ in 0..180 {
        under_way.push(begin(&world, READ).await);
    }
    assert_eq!(begin(&world, READ).await.reply().await.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn operators_and_health_go_last() {
    let let_go = Arc::new(Notify::new());
    let call = |waits: Arc<Notify>| {
        post(async move || {
            waits.notified().await;
            StatusCode::OK
        })
    };
    let answered = || post(async || StatusCode::OK);
    let router = Router::new()
        .route("/flotilla.orders.v1.Orders/{*method}", call(Arc::clone(&let_go)))
        .route("/flotilla.operations.v1.OperationsService/{*method}", answered())
        .route("/grpc.health.v1.Health/{*method}", answered());
    let mut setup = unbounded_by_address(router);
    (setup.kind, setup.bounds) = (Kind::Grpc, Bounds { in_flight: 10, ..Bounds::default() });
    let world = setup.in_memory().await;
    let ask = |path: &str| {
        format!(
            "POST /{path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n"
        )
    };
    let mut under_way = Vec::new();
    for _ in 0..9 {
        under_way.push(begin(&world, &ask("flotilla.orders.v1.Orders/Place")).await);
    }
    let refused = world.ask(ask("flotilla.orders.v1.Orders/Get")).await;
    assert_eq!(refused.header("grpc-status"), Some("14"), "{refused}");
    for path in ["flotilla.operations.v1.OperationsService/GetStatus", "grpc.health.v1.Health/Check"] {
        let answer = world.ask(ask(path)).await;
        assert_eq!((answer.status(), answer.header("grpc-status")), (200, None), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn operations_of_operators_find_a_place_when_users_have_taken_theirs() {
    let let_go = Arc::new(Notify::new());
    let mut setup = unbounded_by_address(town(&let_go));
    setup.bounds = Bounds { in_flight: 10, ..Bounds::default() };
    setup.operators = vec![Operation { method: Method::GET, path: "/read/{id}", access: Access::Operators }];
    let world = setup.in_memory().await;
    let _under_way = logins(&world, 9).await;
    assert_eq!(world.ask(LOGIN).await.status(), 503);
    assert_eq!(world.ask(READ).await.status(), 200);
}

/// There is no thread for it.
#[derive(Debug, thiserror::Error)]
#[error("it cannot be computed")]
struct NoThread(#[source] ComputeError);

impl Classify for NoThread {
    fn class(&self) -> ErrorClass {
        ErrorClass::Unavailable
    }
}

#[tokio::test(start_paused = true)]
async fn what_would_be_refused_further_on_is_refused_at_once_and_other_operations_are_not() {
    let (asked, overloaded) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let (count, is_overloaded) = (Arc::clone(&asked), Arc::clone(&overloaded));
    let login = async move || {
        let nth = count.fetch_add(1, Ordering::Relaxed);
        if is_overloaded.load(Ordering::Relaxed) && nth % 10 > 0 {
            return Problem::from(NoThread(ComputeError::Overloaded)).into_response();
        }
        StatusCode::OK.into_response()
    };
    let world = Setup::of(town(&Arc::default()).route("/register", post(login))).in_memory().await;
    let ask = async || {
        tokio::time::advance(Duration::from_millis(5)).await;
        world.ask("POST /register HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").await.status()
    };
    for _ in 0..2_000 {
        ask().await;
    }
    let before = asked.load(Ordering::Relaxed);
    for _ in 0..2_000 {
        ask().await;
        assert_eq!(world.ask(READ).await.status(), 200);
    }
    let came = asked.load(Ordering::Relaxed) - before;
    assert!((20..=100).contains(&came), "{came} of 2,000 came through");
    overloaded.store(false, Ordering::Relaxed);
    for _ in 0..4_000 {
        ask().await;
    }
    for _ in 0..100 {
        assert_eq!(ask().await, 200, "there is room again");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_are_told_over_grpc_that_there_is_too_much_to_do() {
    let refuse = async || {
        let mut status = proto::status::of(ErrorClass::Unavailable, "it cannot be computed", &[]);
        status.set_source(Arc::new(NoThread(ComputeError::Overloaded)));
        status.into_http::<Body>()
    };
    let mut setup = Setup::of(Router::new().route("/shop.v1.Shop/Buy", post(refuse)));
    setup.kind = Kind::Grpc;
    let world = setup.in_memory().await;
    let head = "host: a\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n";
    let reply = world.ask(format!("POST /shop.v1.Shop/Buy HTTP/1.1\r\n{head}")).await;
    let headers = ["grpc-status", "grpc-message", "grpc-status-details-bin"].map(|name| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_str(reply.header(name).unwrap_or_default()).unwrap(),
        )
    });
    let status = Status::from_header_map(&HeaderMap::from_iter(headers)).unwrap();
    assert!(proto::status::is_of_overload(&status), "{reply}");
}
