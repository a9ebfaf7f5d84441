//! Whatever a client sends, it gets a clear answer or is closed in time, and nobody else notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use chassis::{Bounds, Json, Limits, Query};
use serde::Deserialize;
use tokio::time::Instant;

use crate::harness::{RawClient, Setup, World};

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

/// A router that knows how often it was asked for `/count`.
fn router() -> (Router, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let router = Router::new()
        .route("/", get(async || "hello"))
        .route("/count", get(async move || counted.fetch_add(1, Ordering::Relaxed).to_string()))
        .route("/echo", post(async |body: String| body))
        .route("/pages", get(async |Query(page): Query<Page>| format!("{} {:?}", page.cursor, page.limit)))
        .route("/orders", post(async |Json(order): Json<Order>| {
            let quantities: u32 = order.lines.iter().map(|line| line.quantity).sum();
            format!("{} {quantities}", order.email)
        }));
    (router, count)
}

async fn world() -> (World, Arc<AtomicUsize>) {
    let (router, count) = router();
    (Setup::of(router).on_loopback().await, count)
}

/// Violations of HTTP/1, each as the bytes of a head, its status, and the problem's detail.
const VIOLATIONS: [(&str, u16, &str); 34] = [
    ("GET / HTTP/1.1\r\n\r\n", 400, "the header host is missing"),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "the header host must not be given twice"),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "the header host must be a host and at most a port"),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "the header host must be a host and at most a port"),
    ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "the header host must be a host and at most a port"),
    (
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
        "the header host must not contradict the target's authority",
    ),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "content-length and transfer-encoding must not be given together",
    ),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
        400,
        "content-length and transfer-encoding must not be given together",
    ),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        400,
        "the header content-length must not be given twice",
    ),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
        400,
        "the header content-length must be one decimal number",
    ),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
        400,
        "the header content-length must be one decimal number",
    ),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        400,
        "the header transfer-encoding must be chunked and nothing else",
    ),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        400,
        "the header transfer-encoding must be chunked and nothing else",
    ),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        400,
        "no white space may stand between the header transfer-encoding and its colon",
    ),
    (
        "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "the header transfer-encoding is not known to HTTP/1.0",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nX-Thing: 1\r\n 2\r\n\r\n",
        400,
        "a header must not be folded over several lines",
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\nX Thing: 1\r\n\r\n", 400, "a header name must be a token"),
    ("GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n", 400, "a header name must be a token"),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nX-Thing: 1\02\r\n\r\n",
        400,
        "the value of the header x-thing must not contain control characters",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nX-Thing: 1\r2\r\n\r\n",
        400,
        "the value of the header x-thing must not contain control characters",
    ),
    ("GET / HTTP/1.1\r\nHost: a\nX-Thing: 1\r\n\r\n", 400, "every line of the head must end in CRLF"),
    ("GET / HTTP/1.1\nHost: a\n\n", 400, "every line of the head must end in CRLF"),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nauthorization: b\r\n\r\n",
        400,
        "the header authorization must not be given twice",
    ),
    (
        "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n\r\n",
        400,
        "the header content-type must not be given twice",
    ),
    ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the method must be a token"),
    (
        "GET /\r\nHost: a\r\n\r\n",
        400,
        "the request line must be a method, a target and a version with one space between them",
    ),
    (
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
        "the request line must be a method, a target and a version with one space between them",
    ),
    (
        "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
        "the target must be a path or an http address, in visible ASCII and without a fragment",
    ),
    (
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
        400,
        "the target must be a path or an http address, in visible ASCII and without a fragment",
    ),
    ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "the version must be HTTP/1.1 or HTTP/1.0"),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "the version must be HTTP/1.1 or HTTP/1.0"),
    (
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        400,
        "the target must be a path or an http address, in visible ASCII and without a fragment",
    ),
    (
        "\x16\x03\x01\x02\r\n",
        400,
        "the request line must be a method, a target and a version with one space between them",
    ),
    ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request line must be a method, a target and a version with one space between them"),
];

const COUNT: &str = "GET /count HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn a_request_that_breaks_the_rules_of_http_is_refused_by_naming_the_rule() {
    let (world, _) = world().await;
    for (head, status, detail) in VIOLATIONS {
        let reply = world.ask(head).await;
        assert_eq!((reply.status(), reply.detail().as_str()), (status, detail), "{head:?}");
    }
}

#[tokio::test]
async fn nothing_behind_broken_framing_is_served() {
    let (world, count) = world().await;
    // Those before are wrong in themselves and tell very well where they end.
    for (head, status, _) in &VIOLATIONS[6..] {
        if head.contains("uthorization") || head.contains("ontent-Type") {
            continue;
        }
        let mut client = world.connect().await;
        client.send(format!("{head}{COUNT}{COUNT}")).await;
        let reply = client.reply().await;
        assert_eq!((reply.status(), reply.header("connection")), (*status, Some("close")), "{head:?}");
        assert_eq!(client.rest().await, "", "{head:?}");
    }
    assert_eq!(count.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_refusal_is_answered_in_its_turn_and_byte_by_byte_as_in_one() {
    let (world, count) = world().await;
    let body = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /";
    let bytes = format!("{COUNT}{body}\r\n{COUNT}GET / HTTP/1.1\r\nHost: a\r\nHost : b\r\n\r\n{COUNT}");
    for piece in [1, 7, bytes.len()] {
        count.store(0, Ordering::Relaxed);
        let mut client = world.connect().await;
        for bytes in bytes.as_bytes().chunks(piece) {
            client.send(bytes).await;
        }
        let mut told = Vec::new();
        for _ in 0..4 {
            let reply = client.reply().await;
            told.push((reply.status(), if reply.status() == 200 { reply.body.clone() } else { reply.detail() }));
        }
        let refusal = "no white space may stand between the header host and its colon";
        let expected = [(200, "0"), (200, "GET /"), (200, "1"), (400, refusal)];
        assert_eq!(told, expected.map(|(status, body)| (status, body.to_owned())), "in pieces of {piece}");
        assert_eq!(client.rest().await, "");
    }
}

#[tokio::test]
async fn a_head_has_bounds_and_what_keeps_to_them_is_served() {
    let (world, _) = world().await;
    let long = |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(bytes));
    let many = |fields: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(fields));
    let large = |bytes: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(bytes));
    let cases = [
        (long(8_000), 404, "there is nothing at this path"),
        (long(9_000), 414, "the request line must not be longer than 8192 bytes"),
        (long(60_000), 414, "the request line must not be longer than 8192 bytes"),
        (many(100), 431, "there must not be more than 100 headers"),
        (many(5_000), 431, "there must not be more than 100 headers"),
        (large(17_000), 431, "the head must not be larger than 16384 bytes"),
        (large(1_000_000), 431, "the head must not be larger than 16384 bytes"),
    ];
    for (head, status, detail) in cases {
        let mut client = world.connect().await;
        // The server may have said its answer and closed before it has all been sent.
        let _sent = tokio::io::AsyncWriteExt::write_all(&mut client.io, head.as_bytes()).await;
        let reply = client.reply().await;
        assert_eq!((reply.status(), reply.detail().as_str()), (status, detail), "{} bytes", head.len());
    }
    for head in [many(99), large(16_000)] {
        assert_eq!(world.ask(head).await.status(), 200);
    }
}

#[tokio::test]
async fn a_chunked_body_is_read_and_ends_its_connection() {
    let (world, count) = world().await;
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = world.connect().await;
    client.send(format!("{head}3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n{COUNT}")).await;
    let reply = client.reply().await;
    let told = (reply.status(), reply.body.as_str(), reply.header("connection"));
    assert_eq!(told, (200, "abcde", Some("close")));
    assert_eq!(client.rest().await, "");
    let tricks = [
        "x\r\nabc\r\n0\r\n\r\n".to_owned(),
        "-3\r\nabc\r\n0\r\n\r\n".to_owned(),
        "0x3\r\nabc\r\n0\r\n\r\n".to_owned(),
        "3\nabc\n0\n\n".to_owned(),
        "3\r\nabcX0\r\n\r\n".to_owned(),
        "3\r\nabc0\r\n\r\n".to_owned(),
        "fffffffffffffffff\r\nabc\r\n0\r\n\r\n".to_owned(),
        format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(20_000)),
        format!("3\r\nabc\r\n0\r\n{}\r\n", "X: y\r\n".repeat(200)),
    ];
    for trick in tricks {
        let mut client = world.connect().await;
        client.send(format!("{head}{trick}{COUNT}")).await;
        let reply = client.reply().await;
        assert_eq!(reply.status(), 400, "{trick:?}");
        assert_eq!(client.rest().await, "", "{trick:?}");
    }
    assert_eq!(count.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_it_says_so_or_not() {
    let (router, count) = router();
    let bounds = Bounds { body: 10, ..Bounds::default() };
    let world = Setup { bounds, ..Setup::of(router) }.on_loopback().await;
    let fixed = |length: usize| {
        format!("POST /orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n")
    };
    // Not a byte of the body is needed to know.
    let reply = world.ask(fixed(11)).await;
    let large = "the body must not be larger than 10 bytes";
    assert_eq!((reply.status(), reply.detail().as_str(), reply.header("connection")), (413, large, Some("close")));

    let chunked = "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = world.connect().await;
    client.send(format!("{chunked}6\r\n[11111\r\n5\r\n,2222\r\n0\r\n\r\n{COUNT}")).await;
    let reply = client.reply().await;
    assert_eq!((reply.status(), reply.detail().as_str(), reply.header("connection")), (413, large, Some("close")));
    assert_eq!(client.rest().await, "");
    assert_eq!(count.load(Ordering::Relaxed), 0);

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
    (b"{\"email\":\"a\",\"lines\":[{\"a/b\":-1}]}", "/lines/0/a~1b", "invalid value: integer `-1`, expected u32"),
    (b"{\"email\":\"a\\u0000\"}", "/email", "must not contain U+0000"),
    (b"{\"email\":\"a\",\"x\":[1,{\"y\\u0000\":1}]}", "/x/1/y\0", "must not contain U+0000"),
    (b"{\"email\":\"a\",\"x\":{\"y\":1,\"y\":2}}", "/x/y", "must not be given twice"),
    (b"[]", "", "invalid length 0, expected struct Order with 2 elements"),
    (b"{\"email\":1e999}", "", "the body is not JSON: line 1, column 14"),
];

#[tokio::test]
async fn a_wrong_body_is_refused_by_naming_the_field_or_the_place() {
    let (world, _) = world().await;
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
    let (world, _) = world().await;
    for depth in [33, 200, 100_000] {
        let body = format!("{{\"email\":{}", "[".repeat(depth));
        let reply = post_order(&world, "application/json", body.as_bytes()).await;
        assert_eq!(reply.status(), 400);
        assert!(reply.body.contains("must not be nested deeper than 32"), "{}", reply.body);
    }
}

#[tokio::test]
async fn a_body_of_another_type_is_refused_and_a_right_one_is_read() {
    let (world, _) = world().await;
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

async fn post_order(world: &World, kind: &str, body: &[u8]) -> crate::harness::Reply {
    let length = body.len();
    let head = format!(
        "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    );
    world.ask([head.as_bytes(), body].concat()).await
}

#[tokio::test]
async fn a_wrong_query_is_refused_by_naming_the_parameter() {
    let (world, _) = world().await;
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
async fn clients_that_send_a_byte_every_few_seconds_are_closed_in_time_and_cost_nobody_else_anything() {
    const SLOW: usize = 300;
    let (router, _) = router();
    let limits = Limits { connections: SLOW + 1, ..Limits::default() };
    let world = Setup { limits, ..Setup::of(router) }.in_memory().await;
    let began = Instant::now();
    let (told, mut ends) = tokio::sync::mpsc::channel(SLOW);
    for _ in 0..SLOW {
        let (client, told) = (world.connect().await, told.clone());
        world.env.tasks.spawn("slow client", async move {
            let end = drip(client).await;
            told.send((end, began.elapsed())).await.expect("the test waits for it");
        });
    }
    while began.elapsed() < Duration::from_secs(4) {
        let asked = Instant::now();
        assert_eq!(world.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.status(), 200);
        assert!(asked.elapsed() < Duration::from_millis(10), "{:?}", asked.elapsed());
        tokio::time::advance(Duration::from_millis(500)).await;
    }
    for _ in 0..SLOW {
        let (end, after) = ends.recv().await.unwrap();
        assert!(end.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{end}");
        assert!(end.contains("the head must arrive within 5 seconds"), "{end}");
        assert!(after < Duration::from_secs(8), "{after:?}");
    }
}

/// Sends a head, a byte every two seconds, until the server has had enough; what it said.
async fn drip(mut client: RawClient) -> String {
    let bytes = b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Filler: filler";
    for byte in bytes.iter().cycle() {
        if tokio::io::AsyncWriteExt::write_all(&mut client.io, &[*byte]).await.is_err() {
            break;
        }
        let waited = tokio::time::timeout(Duration::from_secs(2), client.rest()).await;
        if let Ok(said) = waited {
            return said;
        }
    }
    client.rest().await
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_at_all_is_closed_without_a_word() {
    let (router, _) = router();
    let world = Setup::of(router).in_memory().await;
    let (mut client, began) = (world.connect().await, Instant::now());
    assert_eq!(client.rest().await, "");
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_pauses_too_long_is_refused() {
    let (router, _) = router();
    let world = Setup::of(router).in_memory().await;
    let (mut client, began) = (world.connect().await, Instant::now());
    client.send("POST /orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n[").await;
    let reply = client.reply().await;
    let told = (reply.status(), reply.detail(), reply.header("connection"));
    assert_eq!(told, (408, "the body must not pause for more than 5 seconds".to_owned(), Some("close")));
    assert_eq!(client.rest().await, "");
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_answer_is_closed_in_time() {
    let large = Router::new().route("/", get(async || "x".repeat(1 << 20)));
    let world = Setup::of(large).in_memory().await;
    let mut client = world.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let open = "flotilla_connections_open{service=\"test-service\",listener=\"http\"}";
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.assert_counts(&format!("{open} 1"));
    tokio::time::sleep(Duration::from_secs(15)).await;
    world.assert_counts(&format!("{open} 0"));
}
