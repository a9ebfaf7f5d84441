//! What a call takes along, and what becomes of its answer.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use proto::userservice::GetUserRequest;
use runtime::Deadline;
use service_client::{CallError, request};
use telemetry::TraceContext;
use tokio::time::Instant;
use tonic::{Request, Status};
use types::{Classify as _, ErrorClass, FieldError};

use crate::town::Town;

fn header(request: &Request<GetUserRequest>, name: &str) -> String {
    request.metadata().get(name).map_or("none", |value| value.to_str().unwrap()).to_owned()
}

#[tokio::test(start_paused = true)]
async fn deadline_and_trace_travel_with_a_call() {
    let town = Town::new();
    let _registered = town.register(1);
    town.grpc(1, |request| {
        let told = ["grpc-timeout", "traceparent", "tracestate"].map(|name| header(&request, name));
        async move { Ok(told.join(" ")) }.boxed()
    });
    let trace = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some("a=b"));
    let message = GetUserRequest { id: "7".to_owned() };
    let deadline = Deadline::within(Duration::from_millis(2_500));
    tokio::time::advance(Duration::from_millis(500)).await;
    let told = town.users().get_user(request(message, deadline, trace.as_ref())).await.unwrap();
    let expected = "2000000u 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 a=b";
    assert_eq!(told.into_inner().name, expected);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_says_nothing_of_its_own_has_a_deadline_all_the_same() {
    let town = Town::new();
    let _registered = town.register(1);
    town.grpc(1, |request| {
        let told = header(&request, "grpc-timeout");
        async move { Ok(told) }.boxed()
    });
    let told = town.users().get_user(GetUserRequest::default()).await.unwrap();
    assert_eq!(told.into_inner().name, "30000000u");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_beyond_the_deadline() {
    let town = Town::new();
    let _registered = town.register(1);
    town.grpc(1, |_| tokio::time::sleep(Duration::from_secs(60)).map(|()| Ok("tea".to_owned())).boxed());
    let began = Instant::now();
    let error = town.call(Deadline::within(Duration::from_secs(2))).await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    assert_eq!(error.class(), ErrorClass::Unknown);
    assert_eq!(error.message(), "the deadline passed before the answer; it may have taken effect");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_has_passed_is_not_sent() {
    let town = Town::new();
    let _registered = town.register(1);
    let shop = town.grpc(1, |_| async { Ok("tea".to_owned()) }.boxed());
    assert_eq!(town.call_patiently().await.unwrap(), "tea");
    let deadline = Deadline::within(Duration::from_secs(1));
    tokio::time::advance(Duration::from_secs(1)).await;
    let error = town.call(deadline).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unavailable);
    assert_eq!(error.message(), "the deadline passed before the request was sent");
    assert_eq!(shop.accepted(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_callee_says_comes_back_with_its_class_and_fields() {
    let town = Town::new();
    let _registered = town.register(1);
    town.grpc(1, |request| {
        let wrong = [FieldError::of("id", "must be a UUID")];
        let class = ErrorClass::ALL[request.get_ref().id.parse::<usize>().unwrap()];
        async move { Err(proto::status::of(class, "no", &wrong)) }.boxed()
    });
    for (at, class) in ErrorClass::ALL.into_iter().enumerate() {
        let answer = town.users().get_user(GetUserRequest { id: at.to_string() }).await;
        let error = CallError::from(answer.unwrap_err());
        assert_eq!(error.class(), class);
        assert_eq!(error.fields(), [FieldError::of("id", "must be a UUID")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_refuses_the_service_is_not_taken_for_one_that_refuses_the_user() {
    let town = Town::new();
    let _registered = town.register(1);
    town.grpc(1, |request| {
        let refusals: [Status; 3] = [
            proto::status::of_refused_caller("api-gateway may not call it"),
            Status::unauthenticated("by a mesh"),
            Status::permission_denied("by a mesh"),
        ];
        let refusal = refusals[request.get_ref().id.parse::<usize>().unwrap()].clone();
        async move { Err(refusal) }.boxed()
    });
    for refusal in 0..3 {
        let answer = town.users().get_user(GetUserRequest { id: refusal.to_string() }).await;
        assert_eq!(CallError::from(answer.unwrap_err()).class(), ErrorClass::Internal);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_at_once_share_one_connection() {
    let town = Town::new();
    let _registered = town.register(1);
    let shop = town.grpc(1, |_| async { Ok("tea".to_owned()) }.boxed());
    let answers = join_all((0..100).map(|_| town.call_patiently())).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|name| name == "tea")));
    assert_eq!(shop.accepted(), 1);
}

#[tokio::test(start_paused = true)]
async fn so_many_calls_are_on_their_way_at_once_and_the_others_wait_for_their_turn() {
    let town = Town::new();
    let _registered = town.register(1);
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    town.grpc(1, move |_| {
        arrived.send(()).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).map(|()| Ok("tea".to_owned())).boxed()
    });
    let calls = join_all((0..300).map(|_| town.call_patiently()));
    let spent = async {
        for _ in 0..200 {
            arrivals.recv().await;
        }
        town.call(Deadline::within(Duration::from_millis(500))).await.unwrap_err()
    };
    let (answers, spent) = tokio::join!(calls, spent);
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(spent.class(), ErrorClass::Unavailable, "it was not sent: {spent}");
    assert_eq!(arrivals.len(), 100);
}
