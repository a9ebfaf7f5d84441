//! Whatever a client sends, it gets a clear answer or is closed in time, and nobody else notices.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use chassis::Limits;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::harness::{RawClient, Setup, World};

/// A router that knows how often it was asked for `/count`.
fn router() -> (Router, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let router = Router::new()
        .route("/", get(async || "hello"))
        .route("/count", get(async move || counted.fetch_add(1, Ordering::Relaxed).to_string()))
        .route("/echo", post(async |body: String| body));
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
        "GET / HTTP/1.1\r\nHost: a\r\nX-Thing: 1\x002\r\n\r\n",
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
    (
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
        "the request line must be a method, a target and a version with one space between them",
    ),
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
            told.push((
                reply.status(),
                if reply.status() == 200 { reply.body.clone() } else { reply.detail() },
            ));
        }
        let refusal = "no white space may stand between the header host and its colon";
        let expected = [(200, "0"), (200, "GET /"), (200, "1"), (400, refusal)];
        assert_eq!(told, expected.map(|(status, body)| (status, body.to_owned())), "in pieces of {piece}");
        assert_eq!(client.rest().await, "");
    }
}

#[tokio::test]
async fn a_broken_request_behind_one_in_flight_does_not_disturb_it() {
    let (reached, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (at, go) = (Arc::clone(&reached), Arc::clone(&release));
    let slow = async move || {
        at.notify_one();
        go.notified().await;
        "tea at last"
    };
    let world = Setup::of(Router::new().route("/slow", get(slow))).on_loopback().await;
    let mut client = world.connect().await;
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    reached.notified().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n").await;
    // The server has seen it once a connection that came later has been answered.
    world.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    release.notify_one();
    assert_eq!(client.reply().await.body, "tea at last");
    assert_eq!(client.reply().await.detail(), "no white space may stand between the header a and its colon");
    assert_eq!(client.rest().await, "");
}

#[tokio::test(start_paused = true)]
async fn what_a_refused_client_still_sends_is_read_so_that_it_gets_its_answer() {
    let (router, _) = router();
    let world = Setup::of(router).in_memory().await;
    let mut client = world.connect().await;
    client.send("GET / HTTP/1.1\r\n: x\r\n").await;
    client.send("x".repeat(100_000)).await;
    assert_eq!(client.reply().await.detail(), "a header name must be a token");
    let began = Instant::now();
    assert_eq!(client.rest().await, "");
    world.until_closed().await;
    assert_eq!(began.elapsed().as_secs(), 1);
}

#[tokio::test]
async fn a_request_of_http_1_0_is_answered_and_is_its_connection_s_last() {
    let (world, count) = world().await;
    let mut client = world.connect().await;
    client.send(format!("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n{COUNT}")).await;
    let reply = client.reply().await;
    assert_eq!((reply.body.as_str(), reply.header("connection")), ("hello", Some("close")));
    assert_eq!(client.rest().await, "");
    assert_eq!(count.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn http_1_0_gets_no_answer_of_which_it_could_not_tell_whether_it_is_whole() {
    let broken = async || {
        let parts = [Ok("half"), Err(io::Error::other("the other half is lost"))];
        Body::from_stream(futures_util::stream::iter(parts))
    };
    let world = Setup::of(Router::new().route("/", get(broken))).on_loopback().await;
    let reply = world.ask("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    let detail = "the version must be HTTP/1.1 for an answer whose length is not known before; the request may have taken effect";
    assert_eq!((reply.status(), reply.detail().as_str()), (505, detail));
    let head = world.ask("HEAD / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    assert_eq!(head.status(), 200);
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
        let _sent = client.io.write_all(head.as_bytes()).await;
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

#[tokio::test(start_paused = true)]
async fn clients_that_send_a_byte_every_few_seconds_are_closed_in_time_and_cost_nobody_else_anything() {
    const SLOW: usize = 300;
    let (router, _) = router();
    let limits = Limits { connections: SLOW + 1, per_address: SLOW + 1, ..Limits::default() };
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
        if client.io.write_all(&[*byte]).await.is_err() {
            break;
        }
        if let Ok(said) = timeout(Duration::from_secs(2), client.rest()).await {
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
async fn a_client_that_does_not_read_its_answer_is_closed_in_time() {
    let large = Router::new().route("/", get(async || "x".repeat(1 << 20)));
    let world = Setup::of(large).in_memory().await;
    let mut client = world.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let began = Instant::now();
    world.until_closed().await;
    assert_eq!(began.elapsed().as_secs(), 15);
}
