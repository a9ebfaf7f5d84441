//! The accept loop: how connections begin, how many there may be, and how they end.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use chassis::{Drained, Kind, Limits};
use futures_util::stream;
use http::Request;
use runtime::{Io, Listen, Listener};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::caller::Guarded;
use crate::harness::{RawClient, Reply, Setup, in_memory};

const TEA: &str = "GET /tea HTTP/1.1\r\nHost: a\r\n\r\n";
const SLOW: &str = "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";

/// Tells when `/slow` has been reached, and waits there.
#[derive(Clone, Default)]
struct Kettle {
    reached: Arc<Notify>,
    release: Arc<Notify>,
    served: Arc<AtomicUsize>,
}

impl Kettle {
    fn router(&self) -> Router {
        let (slow, fast) = (self.clone(), self.clone());
        Router::new()
            .route(
                "/slow",
                get(async move || {
                    slow.reached.notify_one();
                    slow.release.notified().await;
                    "tea at last"
                }),
            )
            .route(
                "/tea",
                get(async move || {
                    fast.served.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    "tea"
                }),
            )
    }
}

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_closes_what_is_idle_and_takes_no_more() {
    let kettle = Kettle::default();
    let world = Setup::of(kettle.router()).on_loopback().await;
    let (mut idle, mut busy) = (world.connect().await, world.connect().await);
    idle.send(TEA).await;
    assert_eq!(idle.reply().await.header("connection"), None);
    busy.send(SLOW).await;
    kettle.reached.notified().await;

    world.shut_down();
    assert_eq!(idle.rest().await, "");
    while world.dial().await.is_ok() {}
    kettle.release.notify_one();
    let reply = busy.reply().await;
    assert_eq!((reply.body.as_str(), reply.header("connection")), ("tea at last", Some("close")));
    assert_eq!(busy.rest().await, "");
    assert_eq!(world.drained().await, Drained { cut: 0 });
}

#[tokio::test]
async fn clients_whose_next_request_races_the_drain_get_whole_answers_or_none() {
    const CLIENTS: usize = 16;
    let kettle = Kettle::default();
    let world = Setup::of(kettle.router()).on_loopback().await;
    let (told, mut answered) = tokio::sync::mpsc::channel(CLIENTS);
    for _ in 0..CLIENTS {
        let (client, told) = (world.connect().await, told.clone());
        world.env.tasks.spawn("client", async move {
            let answers = ask_until_closed(client).await;
            told.send(answers).await.expect("the test waits for it");
        });
    }
    while kettle.served.load(Ordering::SeqCst) < 20 * CLIENTS {
        tokio::task::yield_now().await;
    }
    world.shut_down();
    let mut answers = 0;
    for _ in 0..CLIENTS {
        answers += answered.recv().await.unwrap();
    }
    assert_eq!(answers, kettle.served.load(Ordering::SeqCst), "what was done was told");
    assert_eq!(world.drained().await, Drained { cut: 0 });
}

/// How many answers there were; the last is followed by a close before any other byte.
async fn ask_until_closed(mut client: RawClient) -> usize {
    let mut answers = 0;
    while tea(&mut client).await.is_some() {
        answers += 1;
    }
    answers
}

/// A cup of tea, unless the connection is closed before.
async fn tea(client: &mut RawClient) -> Option<Reply> {
    // A connection that is closed already shows in the answer.
    let _sent = client.io.write_all(TEA.as_bytes()).await;
    let reply = client.reply_or_end().await?;
    assert_eq!(reply.body, "tea");
    Some(reply)
}

#[tokio::test(start_paused = true)]
async fn what_does_not_finish_in_time_is_cut_and_told() {
    let kettle = Kettle::default();
    let world = Setup { drain: Duration::from_secs(3), ..Setup::of(kettle.router()) }.in_memory().await;
    let mut busy = world.connect().await;
    busy.send(SLOW).await;
    kettle.reached.notified().await;
    let began = Instant::now();
    world.shut_down();
    assert_eq!(busy.rest().await, "");
    assert_eq!(world.drained().await, Drained { cut: 1 });
    assert_eq!(began.elapsed().as_secs(), 3);
}

#[tokio::test]
async fn a_client_that_goes_away_is_counted_at_its_route() {
    let kettle = Kettle::default();
    let world = Setup::of(kettle.router()).on_loopback().await;
    let mut client = world.connect().await;
    client.send(SLOW).await;
    kettle.reached.notified().await;
    drop(client);
    let count = "http_server_request_duration_seconds_count{service=\"test-service\",http_request_method=\"GET\",\
                 http_route=\"/slow\",http_response_status_code=\"499\"} 1";
    let counted = async {
        while !world.metrics.render().contains(count) {
            tokio::task::yield_now().await;
        }
    };
    crate::harness::in_time(counted).await;
}

#[tokio::test]
async fn http_2_finishes_its_streams_before_it_goes() {
    let kettle = Kettle::default();
    let server = Setup::of(kettle.router()).with_mtls(Kind::Http).await;
    let mut caller = server.caller().await;
    let slow = caller.send(Request::get("https://a/slow"), Body::empty());
    kettle.reached.notified().await;
    server.world.shut_down();
    while server.world.dial().await.is_ok() {}
    kettle.release.notify_one();
    assert_eq!(slow.await.body, "tea at last");
    caller.until_closed().await;
    assert_eq!(server.world.drained().await, Drained { cut: 0 });
}

#[tokio::test]
async fn a_panic_in_the_body_of_an_answer_ends_its_connection_alone() {
    let broken = || stream::poll_fn(|_| -> Poll<Option<io::Result<String>>> { panic!("out of tea") });
    let router = Kettle::default().router();
    let router = router.route("/broken", get(async move || Body::from_stream(broken())));
    let world = Setup::of(router).on_loopback().await;
    let mut client = world.connect().await;
    client.send("GET /broken HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(!client.rest().await.ends_with("0\r\n\r\n"), "half an answer must not look whole");
    world.assert_counts("flotilla_connections_panicked_total{service=\"test-service\",listener=\"http\"} 1");
    assert_eq!(world.ask(TEA).await.body, "tea");
    assert!(timeout(Duration::ZERO, world.env.tasks.fault()).await.is_err(), "the service goes on");
}

#[tokio::test]
async fn connections_beyond_the_cap_are_closed_at_once_and_counted() {
    let kettle = Kettle::default();
    let limits = Limits { connections: 2, ..Limits::default() };
    let world = Setup { limits, ..Setup::of(kettle.router()) }.on_loopback().await;
    let (mut first, mut second) = (world.connect().await, world.connect().await);
    for client in [&mut first, &mut second] {
        client.send(TEA).await;
        assert_eq!(client.reply().await.body, "tea");
    }
    assert_eq!(world.connect().await.rest().await, "");
    world.assert_counts("flotilla_connections_refused_total{service=\"test-service\",listener=\"http\"} 1");
    drop(first);
    while tea(&mut world.connect().await).await.is_none() {}
    second.send(TEA).await;
    assert_eq!(second.reply().await.body, "tea");
}

#[tokio::test]
async fn one_address_does_not_take_all_connections() {
    let limits = Limits { per_address: 1, ..Limits::default() };
    let world = Setup { limits, ..Setup::of(Kettle::default().router()) }.on_loopback().await;
    let mut first = world.connect().await;
    first.send(TEA).await;
    assert_eq!(first.reply().await.body, "tea");
    assert_eq!(world.connect().await.rest().await, "");
    world.assert_counts("flotilla_connections_refused_total{service=\"test-service\",listener=\"http\"} 1");
    drop(first);
    while tea(&mut world.connect().await).await.is_none() {}
}

#[tokio::test]
async fn peers_of_one_address_are_no_strangers_to_each_other() {
    let limits = Limits { per_address: 1, ..Limits::default() };
    let server = Setup { limits, ..Setup::of(Kettle::default().router()) }.with_mtls(Kind::Http).await;
    let tea = || Request::get("https://a/tea");
    let (mut one, mut other) = (server.caller().await, server.caller().await);
    assert_eq!(one.send(tea(), Body::empty()).await.body, "tea");
    assert_eq!(other.send(tea(), Body::empty()).await.body, "tea");
    let _stranger = server.world.dial().await.unwrap();
    assert_eq!(server.world.connect().await.rest().await, "", "one stranger at a time");
    assert_eq!(one.send(tea(), Body::empty()).await.body, "tea");
}

/// A listener whose system has run out of files for a while.
struct Exhausted {
    listener: Listener,
    failures: usize,
}

impl Listen for Exhausted {
    fn accept(&mut self) -> Pin<Box<dyn Future<Output = io::Result<(Io, SocketAddr)>> + Send + '_>> {
        if self.failures == 0 {
            return self.listener.accept();
        }
        self.failures -= 1;
        Box::pin(async { Err(io::Error::other("too many open files")) })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

#[tokio::test(start_paused = true)]
async fn no_error_ends_the_accept_loop() {
    let kettle = Kettle::default();
    let env = in_memory();
    let listener = env.net.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let listener = Box::new(Exhausted { listener, failures: 10 });
    let world = Setup::of(kettle.router()).start_on(env, listener);
    let began = Instant::now();
    assert_eq!(world.ask(TEA).await.body, "tea");
    assert_eq!(began.elapsed().as_millis(), 1_000, "it pauses each time");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_and_an_old_one_are_closed() {
    let kettle = Kettle::default();
    let limits = Limits { age: Duration::from_secs(100), ..Limits::default() };
    let world = Setup { limits, ..Setup::of(kettle.router()) }.in_memory().await;
    let mut idle = world.connect().await;
    assert!(tea(&mut idle).await.is_some());
    let began = Instant::now();
    assert_eq!(idle.rest().await, "");
    assert_eq!(began.elapsed().as_secs(), 75);
    let (mut old, mut answers) = (world.connect().await, 0);
    while tea(&mut old).await.is_some() {
        answers += 1;
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!((100..=111).contains(&answers), "{answers} answers");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_finish_its_handshake_is_closed_in_time() {
    let kettle = Kettle::default();
    let Guarded { world, .. } = Setup::of(kettle.router()).with_mtls_in_memory(Kind::Http).await;
    let mut silent = world.connect().await;
    silent.send(b"\x16\x03\x01").await;
    let began = Instant::now();
    assert_eq!(silent.rest().await, "");
    assert_eq!(began.elapsed().as_secs(), 5);
    world.assert_counts("flotilla_handshakes_failed_total{service=\"test-service\",listener=\"http\"} 1");
    world.until_closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_begins_http_2_is_closed_in_time() {
    let kettle = Kettle::default();
    let server = Setup::of(kettle.router()).with_mtls_in_memory(Kind::Grpc).await;
    let mut silent = RawClient::over(server.secured().await);
    silent.send("PRI * HTTP/2.0\r\n").await;
    let began = Instant::now();
    assert_eq!(silent.rest().await, "");
    assert_eq!(began.elapsed().as_secs(), 5);
    let mut wrong = RawClient::over(server.secured().await);
    wrong.send(TEA).await;
    let closed = timeout(Duration::from_secs(1), wrong.rest()).await;
    assert_eq!(closed, Ok(String::new()));
}
