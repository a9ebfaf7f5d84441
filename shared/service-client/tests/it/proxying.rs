//! What goes through, both ways.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use runtime::Deadline;
use service_client::SendError;
use tokio::sync::mpsc;
use tokio::time::Instant;
use types::{Classify as _, ErrorClass};

use crate::shop::{Body, full};
use crate::town::{PATIENCE, Town};

/// A body whose parts come when the test sends them.
fn fed() -> (mpsc::Sender<Result<&'static str, io::Error>>, Body) {
    let (feed, parts) = mpsc::channel(8);
    let parts = stream::unfold(parts, |mut parts: mpsc::Receiver<_>| async {
        let part: Result<&'static str, io::Error> = parts.recv().await?;
        let frame = part.map(|part| Frame::data(Bytes::from(part))).map_err(Into::into);
        Some((frame, parts))
    });
    (feed, StreamBody::new(parts).boxed_unsync())
}

#[tokio::test(start_paused = true)]
async fn a_request_arrives_as_the_callee_wants_it_and_its_answer_comes_back_as_it_is() {
    let town = Town::new();
    let _registered = town.register(1);
    town.http(1, |request| {
        let (head, body) = request.into_parts();
        async move {
            let text = |name: &str| head.headers.get(name).map_or("none", |value| value.to_str().unwrap());
            let told = format!(
                "{} {} {:?} host={} left={} kept={}",
                head.method,
                head.uri,
                head.version,
                text("host"),
                text("flotilla-timeout-ms"),
                text("x-kept"),
            );
            let body = body.collect().await.unwrap().to_bytes();
            let answer = Response::builder().status(StatusCode::ACCEPTED).header("x-told", told);
            answer.body(full(body)).unwrap()
        }
        .boxed()
    });
    let request = Request::post("https://shop.example/tea?sort=green")
        .version(Version::HTTP_2)
        .header("host", "shop.example")
        .header("flotilla-timeout-ms", "99999")
        .header("x-kept", "yes")
        .body(full("two bags"))
        .unwrap();
    let answer = town.client().send(request, Deadline::within(Duration::from_millis(2_500))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let told = "POST /tea?sort=green HTTP/1.1 host=user-service left=2500 kept=yes";
    assert_eq!(answer.headers()["x-told"], told);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "two bags");
}

#[tokio::test(start_paused = true)]
async fn bodies_stream_both_ways_at_once() {
    let town = Town::new();
    let _registered = town.register(1);
    town.http(1, |request| {
        let echo = request.into_body().map_err(Into::into).boxed_unsync();
        async move { Response::new(echo) }.boxed()
    });
    let (feed, body) = fed();
    let request = Request::post("/echo").body(body).unwrap();
    let answer = town.client().send(request, Deadline::within(Duration::from_secs(1))).await.unwrap();
    let mut body = answer.into_body();
    for part in ["one", "two", "three"] {
        // The deadline is to the head; what comes after takes the time it takes.
        tokio::time::advance(Duration::from_secs(60)).await;
        feed.send(Ok(part)).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), part);
    }
    drop(feed);
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_body_of_unknown_length_arrives_whole_whatever_the_method() {
    let town = Town::new();
    let client = town.client();
    let _registered = town.register(1);
    town.http(1, |request| {
        let echo = request.into_body().map_err(Into::into).boxed_unsync();
        async move { Response::new(echo) }.boxed()
    });
    for method in [Method::GET, Method::DELETE, Method::POST] {
        let (feed, body) = fed();
        for part in ["one", "two"] {
            feed.send(Ok(part)).await.unwrap();
        }
        drop(feed);
        let request = Request::builder().method(&method).uri("/echo").body(body).unwrap();
        let answer = client.send(request, Deadline::within(PATIENCE)).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "onetwo", "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_go_through() {
    let town = Town::new();
    let _registered = town.register(1);
    town.http(1, |_| {
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
        let frames = [Frame::data(Bytes::from("tea")), Frame::trailers(trailers)];
        let body = StreamBody::new(stream::iter(frames).map(Ok)).boxed_unsync();
        let answer = Response::builder().header("trailer", "x-sum").body(body).unwrap();
        async move { answer }.boxed()
    });
    let request = Request::get("/tea").header("te", "trailers").body(full("")).unwrap();
    let answer = town.client().send(request, Deadline::within(PATIENCE)).await.unwrap();
    let collected = answer.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "7");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_head_beyond_the_deadline_and_the_callee_learns_of_it() {
    let town = Town::new();
    let _registered = town.register(1);
    let shop = town.http(1, |_| std::future::pending().boxed());
    let began = Instant::now();
    let request = Request::get("/tea").body(full("")).unwrap();
    let error = town.client().send(request, Deadline::within(Duration::from_secs(2))).await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    assert!(matches!(error, SendError::Late), "{error:?}");
    assert_eq!(error.class(), ErrorClass::Unknown);
    shop.until_open(0).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_takes_the_exchange_along() {
    let town = Town::new();
    let client = town.client();
    let _registered = town.register(1);
    let shop = town.http(1, |request| match request.uri().path() {
        "/never" => std::future::pending().boxed(),
        _ => {
            let endless = stream::repeat_with(|| Ok(Frame::data(Bytes::from("tea"))));
            async { Response::new(StreamBody::new(endless).boxed_unsync()) }.boxed()
        }
    });
    let get =
        |path: &str| client.send(Request::get(path).body(full("")).unwrap(), Deadline::within(PATIENCE));
    assert!(tokio::time::timeout(Duration::from_secs(1), get("/never")).await.is_err());
    shop.until_open(0).await;

    let mut body = get("/endless").await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    drop(body);
    shop.until_open(0).await;
    assert_eq!(shop.accepted(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_told_with_what_broke_it() {
    let town = Town::new();
    let _registered = town.register(1);
    town.http(1, |request| {
        let body = request.into_body();
        async move {
            drop(body.collect().await);
            Response::new(full("all of it"))
        }
        .boxed()
    });
    let (feed, body) = fed();
    feed.send(Ok("some")).await.unwrap();
    feed.send(Err(io::ErrorKind::TimedOut.into())).await.unwrap();
    let request = Request::post("/tea").body(body).unwrap();
    let error = town.client().send(request, Deadline::within(PATIENCE)).await.unwrap_err();
    let SendError::Body(hyper) = &error else { panic!("{error:?}") };
    let cause = hyper.source().and_then(|source| source.downcast_ref::<io::Error>());
    assert_eq!(cause.map(io::Error::kind), Some(io::ErrorKind::TimedOut));
    assert_eq!(error.class(), ErrorClass::Invalid);
}
