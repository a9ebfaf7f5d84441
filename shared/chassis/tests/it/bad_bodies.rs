//! Whatever a body or a query holds, it is read whole or refused by naming what is wrong with it.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use chassis::{Bounds, Json, Query};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout};

use crate::harness::{Reply, Setup, World};

#[derive(Deserialize)]
struct Order {
    email: String,
    #[serde(default)]
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "a/b")]
    quantity: u32,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    cursor: String,
    limit: Option<u8>,
}

fn router() -> Router {
    Router::new()
        .route("/pages", get(async |Query(page): Query<Page>| format!("{} {:?}", page.cursor, page.limit)))
        .route(
            "/orders",
            post(async |Json(order): Json<Order>| {
                let quantities: u32 = order.lines.iter().map(|line| line.quantity).sum();
                format!("{} {quantities}", order.email)
            }),
        )
}

async fn world() -> World {
    Setup::of(router()).on_loopback().await
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_it_says_so_or_not() {
    let bounds = Bounds { body: 10, ..Bounds::default() };
    let world = Setup { bounds, ..Setup::of(router()) }.on_loopback().await;
    let fixed = |length: usize| {
        format!(
            "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    // Not a byte of the body is needed to know.
    let reply = world.ask(fixed(11)).await;
    let large = "the body must not be larger than 10 bytes";
    assert_eq!(
        (reply.status(), reply.detail().as_str(), reply.header("connection")),
        (413, large, Some("close"))
    );

    let chunked = "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = world.connect().await;
    client.send(format!("{chunked}6\r\n[11111\r\n5\r\n,2222\r\n0\r\n\r\n")).await;
    let reply = client.reply().await;
    assert_eq!(
        (reply.status(), reply.detail().as_str(), reply.header("connection")),
        (413, large, Some("close"))
    );
    assert_eq!(client.rest().await, "");

    let reply = world.ask(format!("{}{}", fixed(10), "[111,22222")).await;
    assert_eq!(reply.status(), 400);
}

/// Bodies that are wrong in themselves: the status, the pointer or else nothing, and what is told.
const WRONG_BODIES: [(&[u8], &str, &str); 17] = [
    (b"", "", "the body is not JSON: line 1, column 0"),
    (b"{\"email\":\n \"a\",}", "", "the body is not JSON: line 2, column 6"),
    (b"{\"email\":\"a\"} x", "", "the body is not JSON: line 1, column 15"),
    (b"{\"email\":\"\xff\"}", "", "the body is not JSON: line 1, column 11"),
    (b"{\"email\":\"\\ud800\"}", "", "the body is not JSON: line 1, column 17"),
    (b"\xef\xbb\xbf{\"email\":\"a\"}", "", "the body is not JSON: line 1, column 1"),
    (b"{\"email\":1}", "/email", "invalid type: integer `1`, expected a string"),
    (b"{}", "", "missing field `email`"),
    (b"{\"email\":\"a\",\"email\":\"b\"}", "/email", "must not be given twice"),
    (b"{\"email\":\"a\",\"age\":1}", "/age", "is not known here"),
    (b"{\"email\":\"a\",\"lines\":[{\"a/b\":1},{\"a/b\":1,\"x~\":2}]}", "/lines/1/x~0", "is not known here"),
    (
        b"{\"email\":\"a\",\"lines\":[{\"a/b\":-1}]}",
        "/lines/0/a~1b",
        "invalid value: integer `-1`, expected u32",
    ),
    (b"{\"email\":\"a\\u0000\"}", "/email", "must not contain U+0000"),
    (b"{\"email\":\"a\",\"x\":[1,{\"y\\u0000\":1}]}", "/x/1/y\0", "must not contain U+0000"),
    (b"{\"email\":\"a\",\"x\":{\"y\":1,\"y\":2}}", "/x/y", "must not be given twice"),
    (b"[\"a\",[]]", "", "the body must be an object"),
    (b"{\"email\":1e999}", "", "the body is not JSON: line 1, column 14"),
];

#[tokio::test]
async fn a_wrong_body_is_refused_by_naming_the_field_or_the_place() {
    let world = world().await;
    for (body, pointer, detail) in WRONG_BODIES {
        let reply = post_order(&world, "application/json", body).await;
        let text = String::from_utf8_lossy(body);
        assert_eq!(reply.status(), 400, "{text}");
        let told: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        match told.get("errors") {
            None => assert_eq!((reply.detail().as_str(), ""), (detail, pointer), "{text}"),
            Some(errors) => {
                let expected = serde_json::json!([{ "pointer": pointer, "detail": detail }]);
                assert_eq!(*errors, expected, "{text}");
            }
        }
    }
}

#[tokio::test]
async fn deep_nesting_is_refused_however_deep() {
    let world = world().await;
    for depth in [33, 200, 100_000] {
        let body = format!("{{\"email\":{}", "[".repeat(depth));
        let reply = post_order(&world, "application/json", body.as_bytes()).await;
        assert_eq!(reply.status(), 400);
        assert!(reply.body.contains("must not be nested deeper than 32"), "{}", reply.body);
    }
}

#[tokio::test]
async fn a_body_of_another_type_is_refused_and_a_right_one_is_read() {
    let world = world().await;
    let body = br#"{"email":"a","lines":[{"a/b":1},{"a/b":2}]}"#;
    for kind in ["text/plain", "application/jsonp", ""] {
        let reply = post_order(&world, kind, body).await;
        let told = (reply.status(), reply.detail());
        assert_eq!(told, (415, "the header content-type must be application/json".to_owned()), "{kind}");
    }
    for kind in ["application/json", "Application/JSON; charset=utf-8"] {
        let reply = post_order(&world, kind, body).await;
        assert_eq!((reply.status(), reply.body.as_str()), (200, "a 3"));
    }
}

async fn post_order(world: &World, kind: &str, body: &[u8]) -> Reply {
    let length = body.len();
    let head = format!(
        "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    );
    world.ask([head.as_bytes(), body].concat()).await
}

#[tokio::test]
async fn a_wrong_query_is_refused_by_naming_the_parameter() {
    let world = world().await;
    let cases = [
        ("limit=x", "/limit", "invalid digit found in string"),
        ("limit=300", "/limit", "number too large to fit in target type"),
        ("limit=1&limit=2", "/limit", "must not be given twice"),
        ("limit=1&%6cimit=2", "/limit", "must not be given twice"),
        ("offset=1", "/offset", "is not known here"),
        ("cursor=%00", "/cursor", "must not contain U+0000"),
        ("cursor=%ff", "/cursor", "must be UTF-8"),
        ("%ff=1", "/%ff", "must have a name in UTF-8"),
    ];
    for (query, pointer, detail) in cases {
        let reply = world.ask(format!("GET /pages?{query} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(reply.status(), 400, "{query}");
        let told: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(told["errors"], serde_json::json!([{ "pointer": pointer, "detail": detail }]), "{query}");
    }
    let right = world.ask("GET /pages?cursor=a%2Fb+c&limit=7 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(right.body, "a/b c Some(7)");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_pauses_too_long_is_refused() {
    let world = Setup::of(router()).in_memory().await;
    let (mut client, began) = (world.connect().await, Instant::now());
    client.send("POST /orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n[").await;
    let reply = client.reply().await;
    let told = (reply.status(), reply.detail(), reply.header("connection"));
    assert_eq!(told, (408, "the body must not pause for more than 5 seconds".to_owned(), Some("close")));
    assert_eq!(client.rest().await, "");
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_handler_takes_between_two_reads_is_not_the_clients() {
    let slow = async |mut body: Body| {
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        sleep(Duration::from_secs(20)).await;
        let rest = body.collect().await.unwrap().to_bytes();
        [first, rest].concat()
    };
    let world = Setup::of(Router::new().route("/slow", post(slow))).in_memory().await;
    let head = "POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let reply = world.ask(format!("{head}3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")).await;
    assert_eq!((reply.status(), reply.body.as_str()), (200, "onetwo"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_byte_by_byte_is_refused() {
    let world = Setup::of(router()).in_memory().await;
    let (mut client, began) = (world.connect().await, Instant::now());
    client.send("POST /orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n").await;
    let mut said = String::new();
    while said.is_empty() {
        client.send("[").await;
        said = timeout(Duration::from_secs(2), client.rest()).await.unwrap_or_default();
    }
    assert!(said.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{said}");
    assert!(said.contains("the body must arrive within 15 seconds"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(18), "{:?}", began.elapsed());
}
