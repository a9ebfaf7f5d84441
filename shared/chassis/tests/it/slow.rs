//! Hundreds of clients that take their time, and one that does not, over mTLS.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use chassis::{Json, Kind, Limits};
use futures_util::stream;
use http::{Request, StatusCode};
use runtime::Io;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep};

use crate::caller::Guarded;
use crate::harness::{RawClient, Setup};

const SLOW: usize = 300;
/// Often enough for no bound between two bytes.
const PAUSE: Duration = Duration::from_secs(4);

async fn server() -> Guarded {
    let router = Router::new()
        .route("/tea", get(async || "tea"))
        .route("/order", post(async |Json(_): Json<serde_json::Value>| "tea"));
    let limits = Limits { connections: SLOW + 1, per_address: SLOW + 1, ..Limits::default() };
    Setup { limits, ..Setup::of(router) }.with_mtls_in_memory(Kind::Http).await
}

#[tokio::test(start_paused = true)]
async fn handshakes_that_come_byte_by_byte_are_closed_in_time_and_cost_nobody_else_anything() {
    let server = server().await;
    let mut ios = Vec::new();
    for _ in 0..SLOW {
        ios.push(server.world.dial().await.unwrap());
    }
    let ios = std::sync::Mutex::new(ios);
    let slow = || drip(ios.lock().unwrap().pop().unwrap(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    let (ends, longest) = meanwhile(&server, slow).await;
    assert!(ends.iter().all(|after| *after <= 3 * PAUSE), "{ends:?}");
    assert!(longest < Duration::from_millis(10), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn bodies_that_come_byte_by_byte_are_refused_in_time_and_cost_nobody_else_anything() {
    let server = server().await;
    let mut callers = Vec::new();
    for _ in 0..SLOW {
        callers.push(server.caller().await);
    }
    let callers = std::sync::Mutex::new(callers);
    let slow = || {
        let mut caller = callers.lock().unwrap().pop().unwrap();
        let bytes = stream::unfold((), async |()| {
            sleep(PAUSE).await;
            Some((Ok::<_, std::convert::Infallible>("x"), ()))
        });
        async move {
            let began = Instant::now();
            let order = Request::post("https://a/order").header("content-type", "application/json");
            let answer = caller.send(order, Body::from_stream(bytes)).await;
            (answer.status, began.elapsed())
        }
    };
    let (ends, longest) = meanwhile(&server, slow).await;
    for (status, after) in ends {
        assert_eq!((status, after.as_secs()), (StatusCode::REQUEST_TIMEOUT, 15));
    }
    assert!(longest < Duration::from_millis(10), "{longest:?}");
}

/// What each of the slow clients came to, and the longest that the quick one has waited meanwhile.
async fn meanwhile<T, F>(server: &Guarded, slow: impl Fn() -> F) -> (Vec<T>, Duration)
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (told, mut ends) = tokio::sync::mpsc::channel(SLOW);
    for _ in 0..SLOW {
        let (client, told) = (slow(), told.clone());
        server.world.env.tasks.spawn("slow client", async move {
            let end = client.await;
            told.send(end).await.unwrap_or_else(|_| panic!("the test waits for it"));
        });
    }
    let (mut came_to, mut longest) = (Vec::new(), Duration::ZERO);
    let mut quick = server.caller().await;
    while came_to.len() < SLOW {
        let asked = Instant::now();
        let answer = quick.send(Request::get("https://a/tea"), Body::empty()).await;
        assert_eq!(answer.body, "tea");
        longest = longest.max(asked.elapsed());
        sleep(Duration::from_millis(500)).await;
        while let Ok(end) = ends.try_recv() {
            came_to.push(end);
        }
    }
    (came_to, longest)
}

/// Sends `bytes` one by one; after how long the server had enough.
async fn drip(mut io: Io, bytes: &'static [u8]) -> Duration {
    let began = Instant::now();
    for byte in bytes.iter().cycle() {
        if io.write_all(&[*byte]).await.is_err() {
            break;
        }
        sleep(PAUSE).await;
    }
    RawClient::over(io).rest().await;
    began.elapsed()
}
