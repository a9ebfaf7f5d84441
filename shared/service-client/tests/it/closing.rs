//! The end of everything outbound.

use std::future::pending;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use runtime::Deadline;
use types::{Classify as _, ErrorClass};

use crate::shop::full;
use crate::town::{PATIENCE, Town};

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_at_the_close_is_unknown() {
    let town = Town::new();
    let client = town.client();
    let _registered = [1, 2].map(|last| town.register(last));
    let _grpc = town.grpc(1, |_| pending().boxed());
    let _http = town.http(2, |_| pending().boxed());
    let request = Request::get("/").body(full("")).unwrap();
    let close = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        town.outbound.close();
    };
    let (called, sent, ()) =
        tokio::join!(town.call_patiently(), client.send(request, Deadline::within(PATIENCE)), close);
    assert_eq!(called.unwrap_err().class(), ErrorClass::Unknown);
    assert_eq!(sent.unwrap_err().class(), ErrorClass::Unknown);
}

#[tokio::test(start_paused = true)]
async fn no_task_of_a_connection_outlives_the_close_and_no_request_is_sent_after_it() {
    let town = Town::new();
    let client = town.client();
    let _registered = [1, 2].map(|last| town.register(last));
    let _grpc = town.grpc(1, |_| async { Ok("tea".to_owned()) }.boxed());
    let _http = town.http(2, |_| async { Response::new(full("tea")) }.boxed());
    let get = || client.send(Request::get("/").body(full("")).unwrap(), Deadline::within(PATIENCE));
    while town.call_patiently().await.is_err() {}
    while get().await.is_err() {}
    assert!(!town.env.tasks.running().is_empty());

    town.outbound.close();
    assert_eq!(town.env.tasks.join(Duration::from_secs(1)).await, Ok(()));
    assert_eq!(town.call_patiently().await.unwrap_err().class(), ErrorClass::Unavailable);
    let refused = get().await.map(|answer| answer.into_body().collect().now_or_never());
    assert_eq!(refused.unwrap_err().class(), ErrorClass::Unavailable);
}
