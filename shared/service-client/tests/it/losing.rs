//! Connections that are lost before, while and after a call is sent.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use proto::userservice::GetUserRequest;
use runtime::{Deadline, Io};
use service_auth::Alpn;
use service_client::{CallError, SendError, streaming};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep};
use types::{Classify as _, ErrorClass};

use crate::shop::full;
use crate::town::{PATIENCE, SHOP, Town, ip};

/// Frames of HTTP/2 (RFC 9113, section 4.1): length, kind, flags, stream, payload.
mod frame {
    pub(super) const HEADERS: u8 = 1;
    pub(super) const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    /// Stream 1 is not taken up.
    pub(super) const REFUSED_STREAM: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7];
    /// Stream 1 was ended without a reason.
    pub(super) const CANCEL: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8];
    /// The last stream that is processed is 0, or 1.
    pub(super) const GOAWAY_BEFORE: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    pub(super) const GOAWAY_AFTER: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    /// An answer of which only the head comes: `:status` 200 by its place in HPACK's table.
    pub(super) const HEAD: &[u8] = &[0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88];
}

/// Answers the first call on the first connection by `frames` and then ends the connection, or keeps it.
async fn answer_with(town: &Town, frames: &[u8], keep: bool) -> Result<String, CallError> {
    let (mut accepted, identity) = town.open(1, SHOP.as_str());
    let server = async {
        let io = accepted.recv().await.unwrap();
        let mut io = identity.accept(io, Alpn::H2).await.unwrap().io;
        io.write_all(frame::SETTINGS).await.unwrap();
        until_a_call_has_come(&mut io).await;
        io.write_all(frames).await.unwrap();
        io.flush().await.unwrap();
        if keep {
            std::future::pending::<()>().await;
        }
    };
    let mut call = std::pin::pin!(town.call(Deadline::within(Duration::from_secs(2))));
    tokio::select! {
        answer = &mut call => answer,
        () = server => call.await,
    }
}

async fn until_a_call_has_come(io: &mut Io) {
    let mut preface = [0; 24];
    io.read_exact(&mut preface).await.unwrap();
    loop {
        let mut head = [0; 9];
        io.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        io.read_exact(&mut vec![0; length as usize]).await.unwrap();
        if head[3] == frame::HEADERS {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_unknown_once_it_was_sent_unless_the_callee_says_that_it_did_not_take_it_up() {
    let cases: [(&str, &[u8], bool, ErrorClass); 6] = [
        ("refused stream", frame::REFUSED_STREAM, true, ErrorClass::Unavailable),
        ("goaway before it", frame::GOAWAY_BEFORE, true, ErrorClass::Unavailable),
        ("goaway after it, then the end", frame::GOAWAY_AFTER, false, ErrorClass::Unknown),
        ("cancelled", frame::CANCEL, true, ErrorClass::Unknown),
        ("the end", &[], false, ErrorClass::Unknown),
        ("half an answer", frame::HEAD, false, ErrorClass::Unknown),
    ];
    for (what, frames, keep, expected) in cases {
        let town = Town::new();
        let _registered = town.register(1);
        let error = answer_with(&town, frames, keep).await.unwrap_err();
        assert_eq!(error.class(), expected, "{what}: {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_for_all_of_an_answer_that_is_one_and_for_the_head_of_a_stream() {
    let town = Town::new();
    let _registered = town.register(1);
    let began = Instant::now();
    let error = answer_with(&town, frame::HEAD, true).await.unwrap_err();
    assert_eq!(error.message(), "the deadline passed before the answer; it may have taken effect");
    assert_eq!(began.elapsed(), Duration::from_secs(2));

    let town = Town::new();
    let _registered = town.register(1);
    let (mut accepted, identity) = town.open(1, SHOP.as_str());
    let server = async {
        let io = accepted.recv().await.unwrap();
        let mut io = identity.accept(io, Alpn::H2).await.unwrap().io;
        io.write_all(frame::SETTINGS).await.unwrap();
        until_a_call_has_come(&mut io).await;
        io.write_all(frame::HEAD).await.unwrap();
        io
    };
    let began = Instant::now();
    let message = streaming(GetUserRequest::default(), Deadline::within(Duration::from_secs(2)), None);
    let mut users = town.users();
    let (answer, _io) = tokio::join!(users.get_user(message), server);
    // The connection is given up for dead in the end, since this server answers no pings either.
    assert_eq!(CallError::from(answer.unwrap_err()).class(), ErrorClass::Unknown);
    assert!(began.elapsed() > Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_lost_between_two_calls_is_made_again() {
    let town = Town::new();
    let _registered = town.register(1);
    let shop = town.grpc(1, |_| async { Ok("tea".to_owned()) }.boxed());
    for connections in 1..4 {
        assert_eq!(town.call_patiently().await.unwrap(), "tea");
        assert_eq!(shop.accepted(), connections);
        shop.cut();
        shop.until_open(0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_not_used_for_so_long_that_the_callee_ends_it() {
    let town = Town::new();
    let _registered = town.register(1);
    let shop = town.grpc(1, |_| async { Ok("tea".to_owned()) }.boxed());
    for connections in 1..4 {
        assert_eq!(town.call_patiently().await.unwrap(), "tea");
        assert_eq!(shop.accepted(), connections);
        tokio::time::advance(Duration::from_secs(25 * 60)).await;
    }
    shop.until_open(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_gives_no_sign_of_life_is_not_used_again() {
    let town = Town::new();
    let _registered = town.register(1);
    let shop = town.grpc(1, |request| match request.get_ref().id.as_str() {
        "slow" => std::future::pending().boxed(),
        _ => async { Ok("tea".to_owned()) }.boxed(),
    });
    let slow = || async {
        let message = GetUserRequest { id: "slow".to_owned() };
        let deadline = Deadline::within(Duration::from_secs(1));
        town.users().get_user(service_client::request(message, deadline, None)).await.unwrap_err()
    };
    let quick = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        town.call(Deadline::within(PATIENCE)).await.unwrap()
    };
    tokio::join!(slow(), quick);
    town.call_patiently().await.unwrap();
    assert_eq!(shop.accepted(), 1, "others were answered meanwhile");
    tokio::time::advance(Duration::from_secs(1)).await;
    slow().await;
    town.call_patiently().await.unwrap();
    assert_eq!(shop.accepted(), 2);
}

#[tokio::test(start_paused = true)]
async fn answers_that_break_off_are_held_against_their_instance() {
    let town = Town::new();
    let _registered = town.register(1);
    let _shop = town.http(1, |_| {
        async {
            let half = stream::iter([Ok(Frame::data(Bytes::from("half an answer")))]);
            // So that the half is there before the end is.
            let end = sleep(Duration::from_millis(1)).map(|()| Err("the rest is lost".into()));
            Response::new(StreamBody::new(Box::pin(half.chain(end.into_stream()))).boxed_unsync())
        }
        .boxed()
    });
    let client = town.client();
    let send = async || {
        let request = Request::get("/tea").body(full("")).unwrap();
        client.send(request, Deadline::within(PATIENCE)).await
    };
    // Half of what the instance began with it did not end.
    for _ in 0..10 {
        let answer = send().await.unwrap();
        assert!(answer.into_body().collect().await.is_err());
    }
    let open = send().await.unwrap_err();
    assert!(matches!(open, SendError::Open { .. }), "{open:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_happened_where_the_callee_does_not_believe_whoever_calls() {
    let town = Town::new();
    let _registered = town.register(1);
    let mut accepted = town.streets.open(ip(1));
    let identity = town.identity_of_late();
    let server = async {
        while let Some(io) = accepted.recv().await {
            drop(identity.accept(io, Alpn::H2OrHttp1).await.unwrap_err());
        }
    };
    let calls = async {
        let request = Request::post("/tea").body(full("milk")).unwrap();
        let refused = town.client().send(request, Deadline::within(PATIENCE)).await.unwrap_err();
        assert_eq!(refused.class(), ErrorClass::Unavailable, "{refused:?}");
    };
    tokio::select! {
        () = calls => {}
        () = server => unreachable!("somebody may call yet"),
    }
}
