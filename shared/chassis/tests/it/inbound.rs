//! What every request passes on its way in and every answer on its way out.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use axum::{Extension, Router};
use chassis::{Bounds, Kind, Problem, RequestId};
use http::Request;
use insta::assert_snapshot;
use runtime::Deadline;
use service_auth::Peer;
use telemetry::TraceContext;
use tokio::time::Instant;
use tonic::{Code, Status};
use types::{Classify, ErrorClass};

use crate::harness::Setup;

#[derive(Debug, thiserror::Error)]
#[error("reading tea leaves")]
struct Fault(#[source] std::io::Error);

impl Classify for Fault {
    fn class(&self) -> ErrorClass {
        ErrorClass::Internal
    }
}

async fn what_is_known(
    ConnectInfo(addr): ConnectInfo<SocketAddr>,
    peer: Option<Extension<Peer>>,
    Extension(id): Extension<RequestId>,
    Extension(trace): Extension<TraceContext>,
    Extension(deadline): Extension<Deadline>,
) -> String {
    let peer = peer.map_or_else(|| "nobody".to_owned(), |Extension(Peer(id))| id.to_string());
    let (ip, left) = (addr.ip(), deadline.remaining().as_secs_f64().round());
    format!("{peer} from {ip}, {}, {}, {left} s", id.as_str(), trace.header())
}

fn router() -> Router {
    Router::new()
        .route("/tea/{kind}", get(async || "tea").post(async || "more tea"))
        .route("/known", get(what_is_known))
        .route("/panic", get(async || if true { panic!("out of tea") } else { "tea" }))
        .route("/fault", get(async || Err::<(), _>(Problem::from(Fault(std::io::Error::other("the cat"))))))
        .route("/forbidden", get(async || Problem::new(ErrorClass::Forbidden, "tea is for guests")))
        .route("/never", get(std::future::pending::<()>))
        .route("/echo", post(async |body: String| body))
        .route("/named/{name}", get(async |axum::extract::Path(name): axum::extract::Path<String>| name))
}

fn get_request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_problems() {
    let world = Setup::of(router()).on_loopback().await;
    assert_snapshot!(world.ask(get_request("/nowhere")).await, @r#"
    HTTP/1.1 404 Not Found
    content-type: application/problem+json
    x-request-id: ID
    content-length: 178
    {"type":"urn:flotilla:problem:not-found","title":"There is no such thing","status":404,"detail":"there is nothing at this path","instance":"ID"}
    "#);
    assert_snapshot!(world.ask("PUT /tea/green HTTP/1.1\r\nHost: a\r\n\r\n").await, @r#"
    HTTP/1.1 405 Method Not Allowed
    allow: GET,HEAD,POST
    content-type: application/problem+json
    x-request-id: ID
    content-length: 221
    {"type":"urn:flotilla:problem:invalid","title":"The request is wrong","status":405,"detail":"this resource does not have this method; the header allow names those it has","instance":"ID"}
    "#);
    assert_snapshot!(world.ask("HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").await, @r#"
    HTTP/1.1 404 Not Found
    content-type: application/problem+json
    x-request-id: ID
    "#);
}

#[tokio::test]
async fn what_an_extractor_refuses_is_a_problem_too() {
    let world = Setup::of(router()).on_loopback().await;
    assert_eq!(world.ask(get_request("/named/tea")).await.body, "tea");
    let refused = world.ask(get_request("/named/%ff")).await;
    let detail = "the path, the query or the body cannot be read";
    assert_eq!((refused.status(), refused.detail()), (400, detail.to_owned()));
}

#[tokio::test]
async fn a_request_that_goes_on_to_another_service_stays_in_its_trace() {
    let inner = Arc::new(Setup::of(router()).with_mtls(Kind::Http).await);
    let called = Arc::clone(&inner);
    let handler = async move |Extension(trace): Extension<TraceContext>| {
        let mut request = Request::get("https://a/known");
        trace.inject(request.headers_mut().expect("nothing is wrong with it yet"));
        called.call(request, "").await.body
    };
    let outer = Setup::of(Router::new().route("/", get(handler))).with_mtls(Kind::Http).await;
    let parent = "00-11111111111111111111111111111111-2222222222222222-01";
    let request = Request::get("https://a/").header("traceparent", parent).header("tracestate", "vendor=a");
    let answer = outer.call(request, "").await;
    assert!(answer.body.contains(", 00-11111111111111111111111111111111-"), "{}", answer.body);
    assert!(!answer.body.contains("2222222222222222"), "{}", answer.body);
}

#[tokio::test]
async fn a_handler_s_problem_goes_out_with_the_request_s_id_and_a_fault_of_ours_without_its_reasons() {
    let world = Setup::of(router()).on_loopback().await;
    assert_snapshot!(world.ask(get_request("/forbidden")).await, @r#"
    HTTP/1.1 403 Forbidden
    content-type: application/problem+json
    x-request-id: ID
    content-length: 170
    {"type":"urn:flotilla:problem:forbidden","title":"The caller may not do this","status":403,"detail":"tea is for guests","instance":"ID"}
    "#);
    assert_snapshot!(world.ask(get_request("/fault")).await, @r#"
    HTTP/1.1 500 Internal Server Error
    content-type: application/problem+json
    x-request-id: ID
    content-length: 129
    {"type":"urn:flotilla:problem:internal","title":"A fault of ours","status":500,"instance":"ID"}
    "#);
}

#[tokio::test]
async fn a_panic_is_answered_and_counted_and_its_connection_goes_on() {
    let world = Setup::of(router()).on_loopback().await;
    let mut client = world.connect().await;
    client.send(get_request("/panic")).await;
    let reply = client.reply().await;
    assert_eq!((reply.status(), reply.detail()), (500, String::new()));
    world.assert_counts("flotilla_panics_total{service=\"test-service\"} 1");
    client.send(get_request("/tea/green")).await;
    assert_eq!(client.reply().await.body, "tea");
}

#[tokio::test]
async fn requests_are_measured_by_their_route() {
    let world = Setup::of(router()).on_loopback().await;
    for path in ["/tea/green", "/tea/black", "/nowhere", "/panic"] {
        world.ask(get_request(path)).await;
    }
    world.ask("GET /tea/green HTTP/1.1\r\n\r\n").await;
    let count = |route, status| {
        format!(
            "http_server_request_duration_seconds_count{{service=\"test-service\",http_request_method=\"GET\",\
             http_route=\"{route}\",http_response_status_code=\"{status}\"}}"
        )
    };
    world.assert_counts(&format!("{} 2", count("/tea/{kind}", 200)));
    world.assert_counts(&format!("{} 1", count("/panic", 500)));
    world.assert_counts(&format!("{} 1", count("", 404)));
    world.assert_counts(&format!("{} 1", count("", 400)));
}

#[tokio::test]
async fn what_a_stranger_says_of_id_trace_and_deadline_is_not_believed() {
    let world = Setup::of(router()).on_loopback().await;
    let headers = "X-Request-Id: mine\r\nFlotilla-Timeout-Ms: 7000\r\n\
                   Traceparent: 00-11111111111111111111111111111111-2222222222222222-01\r\n";
    let reply = world.ask(format!("GET /known HTTP/1.1\r\nHost: a\r\n{headers}\r\n")).await;
    let id = reply.header("x-request-id").unwrap();
    assert_eq!(id.len(), 36, "{id}");
    assert!(reply.body.starts_with(&format!("nobody from 127.0.0.1, {id}, 00-")), "{}", reply.body);
    assert!(!reply.body.contains("1111111111111111"), "{}", reply.body);
    assert!(reply.body.ends_with("-03, 30 s"), "{}", reply.body);
}

#[tokio::test]
async fn what_a_peer_says_of_id_trace_and_deadline_is_kept() {
    let server = Setup::of(router()).with_mtls(Kind::Http).await;
    let request = Request::get("https://a/known")
        .header("x-request-id", "mine")
        .header("flotilla-timeout-ms", "7000")
        .header("traceparent", "00-11111111111111111111111111111111-2222222222222222-01");
    let answer = server.call(request, "").await;
    assert_eq!(answer.headers["x-request-id"], "mine");
    let known = "spiffe://flotilla.internal/service/order-service from 127.0.0.1, mine, \
                 00-11111111111111111111111111111111-";
    assert!(answer.body.starts_with(known), "{}", answer.body);
    assert!(!answer.body.contains("2222222222222222"), "a span of its own: {}", answer.body);
    assert!(answer.body.ends_with("-01, 7 s"), "{}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn when_the_deadline_passes_the_request_may_have_taken_effect() {
    let world = Setup::of(router()).in_memory().await;
    let began = Instant::now();
    let reply = world.ask(get_request("/never")).await;
    assert_eq!(began.elapsed().as_secs(), 30);
    assert_snapshot!(reply, @r#"
    HTTP/1.1 504 Gateway Timeout
    content-type: application/problem+json
    x-request-id: ID
    content-length: 228
    {"type":"urn:flotilla:problem:unknown","title":"It may have happened","status":504,"detail":"the deadline passed while the request was being worked on; it may have taken effect","instance":"ID"}
    "#);
}

#[tokio::test]
async fn http_2_is_held_to_the_same_rules() {
    let setup = Setup { bounds: Bounds { body: 10, ..Bounds::default() }, ..Setup::of(router()) };
    let server = setup.with_mtls(Kind::Http).await;
    let told = async |request, body| {
        let answer = server.call(request, body).await;
        let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        (answer.status.as_u16(), problem["detail"].as_str().unwrap().to_owned())
    };
    let contradicts = Request::get("https://a/known").header("host", "b");
    let expected = (400, "the header host must not contradict the target's authority".to_owned());
    assert_eq!(told(contradicts, "").await, expected);
    let doubled = Request::get("https://a/known").header("authorization", "x").header("authorization", "y");
    assert_eq!(told(doubled, "").await, (400, "the header authorization must not be given twice".to_owned()));
    let large = Request::post("https://a/echo");
    assert_eq!(
        told(large, "12345678901").await,
        (413, "the body must not be larger than 10 bytes".to_owned())
    );
    let spent = Request::get("https://a/known").header("flotilla-timeout-ms", "0");
    assert_eq!(told(spent, "").await, (503, "the deadline had passed before the request arrived".to_owned()));
    let nonsense = Request::get("https://a/known").header("flotilla-timeout-ms", "soon");
    let expected = (400, "the header flotilla-timeout-ms must be at most eight digits".to_owned());
    assert_eq!(told(nonsense, "").await, expected);
}

#[tokio::test]
async fn grpc_callers_are_refused_by_statuses() {
    let router = router()
        .route("/tea.Tea/Panic", post(async || if true { panic!("out of tea") } else { "tea" }))
        .route("/tea.Tea/Never", post(std::future::pending::<()>))
        .route("/tea.Tea/Forbidden", post(async || Problem::new(ErrorClass::Forbidden, "tea is for guests")))
        .route(
            "/tea.Tea/Leaky",
            post(async || Status::internal("the key is under the mat").into_http::<Body>()),
        );
    let setup = Setup { bounds: Bounds { body: 10, ..Bounds::default() }, ..Setup::of(router) };
    let server = setup.with_mtls(Kind::Grpc).await;
    server.world.red.know_rpcs(["/tea.Tea/Panic", "/tea.Tea/Never"]);
    let call = async |path: &str, header: (&str, &str), body| {
        let request = Request::post(format!("https://a{path}")).header("content-type", "application/grpc");
        let answer = server.call(request.header(header.0, header.1), body).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, ""));
        assert!(answer.headers.contains_key("x-request-id"));
        let status = Status::from_header_map(&answer.headers).unwrap();
        (status.code(), status.message().to_owned())
    };
    let none = ("accept", "*");
    let internal = (Code::Internal, "internal error".to_owned());
    assert_eq!(call("/tea.Tea/Panic", none, "").await, internal.clone());
    assert_eq!(call("/tea.Tea/Leaky", none, "").await, internal);
    let forbidden = (Code::PermissionDenied, "tea is for guests".to_owned());
    assert_eq!(call("/tea.Tea/Forbidden", none, "").await, forbidden);
    let late = "the deadline passed while the request was being worked on; it may have taken effect";
    let late = (Code::DeadlineExceeded, late.to_owned());
    assert_eq!(call("/tea.Tea/Never", ("grpc-timeout", "10m"), "").await, late);
    let large = (Code::OutOfRange, "the body must not be larger than 10 bytes".to_owned());
    assert_eq!(call("/tea.Tea/Never", none, "12345678901").await, large);
    let contradicts =
        (Code::InvalidArgument, "the header host must not contradict the target's authority".to_owned());
    assert_eq!(call("/tea.Tea/Never", ("host", "b"), "").await, contradicts);
    let count = |method, code| {
        format!(
            "rpc_server_call_duration_seconds_count{{service=\"test-service\",rpc_system_name=\"grpc\",\
             rpc_method=\"{method}\",rpc_response_status_code=\"{code}\"}} 1"
        )
    };
    server.world.assert_counts(&count("tea.Tea/Panic", "INTERNAL"));
    server.world.assert_counts(&count("tea.Tea/Never", "DEADLINE_EXCEEDED"));
    server.world.assert_counts(&count("_OTHER", "PERMISSION_DENIED"));
}

#[tokio::test]
async fn a_grpc_message_over_the_limit_is_refused_in_the_words_of_grpc() {
    let setup = Setup { bounds: Bounds { body: 10, ..Bounds::default() }, ..Setup::of(health()) };
    let server = setup.with_mtls(Kind::Grpc).await;
    // Four bytes of length and a flag, and a message that is too long for the bound in three frames.
    const FRAMES: [&str; 3] = ["\0\0\0\0\x14\x0a", "\x12aaaaaaaaa", "aaaaaaaaa"];
    let request =
        Request::post("https://a/grpc.health.v1.Health/Check").header("content-type", "application/grpc");
    let answer = server.call_in_pieces(request, &FRAMES).await;
    let status = Status::from_header_map(&answer.headers).unwrap();
    assert_eq!(
        (status.code(), status.message()),
        (Code::OutOfRange, "the body must not be larger than 10 bytes")
    );
}

fn health() -> Router {
    let (_, health) = tonic_health::server::health_reporter();
    tonic::service::Routes::new(health).into_axum_router()
}
