//! HTTP/2: held to the bounds of HTTP/1, and to some of its own.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{any, get, post};
use chassis::{Bounds, Drained, Json, Kind, Limits};
use futures_util::{StreamExt as _, stream};
use http::request::Builder;
use http::{Request, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::caller::Guarded;
use crate::harness::Setup;

/// More than a client takes that does not read.
const LARGE: usize = 16 << 20;

#[derive(Deserialize)]
struct Order {
    cups: u32,
}

fn router() -> Router {
    let endless = || Body::from_stream(stream::pending::<Result<&str, Infallible>>());
    Router::new()
        .route("/tea", get(async || "tea"))
        .route("/lake", get(async || "x".repeat(LARGE)))
        .route("/endless", get(async move || endless()))
        .route("/order", post(async |Json(Order { cups }): Json<Order>| cups.to_string()))
}

fn tea() -> Builder {
    Request::get("https://a/tea")
}

/// Status and detail of the problem that a call comes to, and the first field that it names.
async fn told(server: &Guarded, request: Builder, body: &'static str) -> (u16, String, String) {
    let answer = server.call(request, body).await;
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), text(&problem["detail"]), text(&problem["errors"][0]["pointer"]))
}

#[tokio::test]
async fn heads_over_the_bounds_are_refused_in_words() {
    let server = Setup::of(router()).with_mtls(Kind::Http).await;
    let many = (0..101).fold(tea(), |request, number| request.header(format!("x-{number}"), "y"));
    let refused = (431, "there must not be more than 100 headers".to_owned(), String::new());
    assert_eq!(told(&server, many, "").await, refused);
    let refused = (431, "the head must not be larger than 16384 bytes".to_owned(), String::new());
    assert_eq!(told(&server, tea().header("x-large", "y".repeat(17_000)), "").await, refused);
    let long = Request::get(format!("https://a/tea?{}", "y".repeat(8_180)));
    let refused = (414, "the request line must not be longer than 8192 bytes".to_owned(), String::new());
    assert_eq!(told(&server, long, "").await, refused);
    let other = "the target must be a path or an http address, in visible ASCII and without a fragment";
    let refused = (400, other.to_owned(), String::new());
    assert_eq!(told(&server, Request::get("https://a/tea?é"), "").await, refused);
    let connect = Request::builder().method("CONNECT").uri("a:443");
    let refused = "this server is no proxy: the method must not be CONNECT".to_owned();
    assert_eq!(told(&server, connect, "").await, (405, refused, String::new()));

    let answer = Setup::of(router()).with_mtls(Kind::Grpc).await;
    let many = (0..101).fold(tea(), |request, number| request.header(format!("x-{number}"), "y"));
    let status = Status::from_header_map(&answer.call(many, "").await.headers).unwrap();
    assert_eq!(
        (status.code(), status.message()),
        (Code::OutOfRange, "there must not be more than 100 headers")
    );
}

#[tokio::test]
async fn bodies_are_refused_as_over_http_1() {
    let server = Setup::of(router()).with_mtls(Kind::Http).await;
    let order = || Request::post("https://a/order").header("content-type", "application/json");
    let field = |detail: &str| (400, "the request has wrong fields".to_owned(), detail.to_owned());
    let plain = |detail: &str| (400, detail.to_owned(), String::new());
    for (body, refused) in [
        ("{\"cups\":", plain("the body is not JSON: line 1, column 8")),
        ("{\"cups\":1,\"sugar\":2}", field("/sugar")),
        ("{\"cups\":\"two\"}", field("/cups")),
        ("{\"cups\":1,\"cups\":2}", field("/cups")),
        ("{\"cups\":\"\\u0000\"}", field("/cups")),
    ] {
        assert_eq!(told(&server, order(), body).await, refused, "{body}");
    }
    let short = order().header("content-length", "20");
    let refused = server.caller().await.send_raw(short, Body::from("{\"cups\":1}")).await;
    assert!(refused.is_err() || refused.is_ok_and(|status| status.is_client_error()), "a length that lies");
}

#[tokio::test(start_paused = true)]
async fn bodies_that_never_end_take_no_more_memory_than_a_few() {
    let bounds = Bounds { body: 1_000, ..Bounds::default() };
    let server = Setup { bounds, ..Setup::of(router()) }.with_mtls_in_memory(Kind::Http).await;
    let mut caller = server.caller().await;
    let order = || Request::post("https://a/order").header("content-type", "application/json");
    let unfinished = || {
        let part = stream::iter([Ok::<_, Infallible>(" ".repeat(900))]);
        Body::from_stream(part.chain(stream::pending()))
    };
    let answers: Vec<_> = (0..6).map(|_| caller.send(order(), unfinished())).collect();
    let mut refused = 0;
    for answer in answers {
        let answer = answer.await;
        refused += usize::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(refused, 2, "four bodies of the largest size are let in");
    assert_eq!(caller.send(order(), Body::from("{\"cups\":1}")).await.body, "1", "and nothing is kept");
}

#[tokio::test]
async fn what_is_no_grpc_call_has_no_effect() {
    let router = Router::new().route("/tea.Tea/Buy", any(async || "bought"));
    let server = Setup::of(router).with_mtls(Kind::Grpc).await;
    let call = |method| Request::builder().method(method).uri("https://a/tea.Tea/Buy");
    for kind in ["application/grpc", "application/grpc+proto", "application/grpc;x=y"] {
        assert_eq!(server.call(call("POST").header("content-type", kind), "").await.body, "bought");
    }
    for kind in ["application/json", "application/grpc-web", "application/grpcs", ""] {
        let refused = server.call(call("POST").header("content-type", kind), "").await;
        assert_eq!((refused.status.as_u16(), &*refused.body), (415, ""), "{kind}");
    }
    for method in ["GET", "PUT", "DELETE"] {
        let refused = server.call(call(method).header("content-type", "application/grpc"), "").await;
        assert_eq!((refused.status.as_u16(), &*refused.body), (405, ""), "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_requests_is_closed() {
    let idle = Duration::from_secs(10);
    let limits = Limits { idle, ..Limits::default() };
    let server = Setup { limits, ..Setup::of(router()) }.with_mtls_in_memory(Kind::Http).await;
    let mut caller = server.caller().await;
    assert_eq!(caller.send(tea(), Body::empty()).await.body, "tea");
    let began = Instant::now();
    caller.until_closed().await;
    assert!((idle..=idle * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_its_client_does_not_take_is_reset_and_its_connection_goes_on() {
    let server = Setup::of(router()).with_mtls_in_memory(Kind::Http).await;
    let mut caller = server.caller().await;
    let unread = caller.begin(Request::get("https://a/lake")).await;
    let began = Instant::now();
    while server.world.counted("flotilla_answers_untaken_total") == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(began.elapsed() < Duration::from_secs(100), "it is kept for ever");
    }
    assert!(began.elapsed() >= Limits::default().write, "{:?}", began.elapsed());
    assert!(unread.ends_early().await);
    assert_eq!(caller.send(tea(), Body::empty()).await.body, "tea");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_waits_for_its_handler_is_not_reset() {
    let server = Setup::of(router()).with_mtls_in_memory(Kind::Http).await;
    let mut caller = server.caller().await;
    let _endless = caller.begin(Request::get("https://a/endless")).await;
    tokio::time::sleep(Limits::default().write * 4).await;
    assert_eq!(server.world.counted("flotilla_answers_untaken_total"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_ends_even_where_a_stream_does_not() {
    let limits = Limits { age: Duration::from_secs(10), ..Limits::default() };
    let server = Setup { limits, ..Setup::of(router()) }.with_mtls_in_memory(Kind::Http).await;
    let mut caller = server.caller().await;
    let began = Instant::now();
    let _endless = caller.begin(Request::get("https://a/endless")).await;
    caller.until_closed().await;
    let (earliest, latest) = (limits.age + limits.leave, limits.age * 11 / 10 + limits.leave);
    assert!((earliest..=latest + Duration::from_secs(1)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_drain_counts_only_connections_that_lose_a_request_as_cut() {
    let setup = || Setup { drain: Duration::from_secs(3), ..Setup::of(router()) };
    let server = setup().with_mtls_in_memory(Kind::Http).await;
    let mut busy = server.caller().await;
    let _endless = busy.begin(Request::get("https://a/endless")).await;
    server.world.shut_down();
    assert_eq!(server.world.drained().await, Drained { cut: 1 });

    let server = setup().with_mtls_in_memory(Kind::Http).await;
    // Never acknowledges anything, so that the connection cannot end by itself.
    let mut deaf = crate::harness::RawClient::over(server.secured().await);
    deaf.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    server.world.shut_down();
    assert_eq!(server.world.drained().await, Drained { cut: 0 });
}
