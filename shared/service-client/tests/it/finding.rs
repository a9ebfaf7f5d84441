//! Which instance a request goes to.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::Request;
use http_body_util::BodyExt as _;
use resilience::State;
use runtime::Deadline;
use service_client::HttpClient;
use tokio::time::Instant;
use types::{Classify as _, ErrorClass};

use crate::shop::{Body, Shop, full};
use crate::town::{PATIENCE, SHOP, Town, ip};

const SECOND: Duration = Duration::from_secs(1);

/// An instance that tells its number over gRPC.
fn teller(town: &Town, last: u8) -> Shop {
    town.grpc(last, move |_| async move { Ok(last.to_string()) }.boxed())
}

async fn told(town: &Town, calls: usize) -> String {
    let mut told = String::new();
    for _ in 0..calls {
        told += &town.call_patiently().await.unwrap();
    }
    told
}

/// An instance that tells its number over HTTP.
fn http_teller(town: &Town, last: u8) -> Shop {
    town.http(last, move |_| async move { http::Response::new(full(last.to_string())) }.boxed())
}

async fn asked(client: &HttpClient<Body>) -> Result<Bytes, ErrorClass> {
    let request = Request::get("/tea").body(full("")).unwrap();
    let answer = client.send(request, Deadline::within(PATIENCE)).await;
    Ok(answer.map_err(|error| error.class())?.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test(start_paused = true)]
async fn every_instance_is_called_and_the_set_is_followed() {
    let town = Town::new();
    let shops = [1, 2, 3].map(|last| teller(&town, last));
    let first = town.register(1);
    let _second = town.register(2);
    let told_by_two = told(&town, 20).await;
    assert!(["1", "2"].iter().all(|last| told_by_two.contains(last)), "{told_by_two}");
    let _third = town.register(3);
    told(&town, 1).await;
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(told(&town, 40).await.contains('3'));
    drop(first);
    assert!(!told(&town, 20).await.contains('1'));
    assert_eq!(shops.map(|shop| shop.accepted()), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_has_withdrawn_loses_its_connection() {
    let town = Town::new();
    let (gone, _stays) = (teller(&town, 1), teller(&town, 2));
    let first = town.register(1);
    let _second = town.register(2);
    assert!(told(&town, 20).await.contains('1'));
    drop(first);
    assert!(!told(&town, 20).await.contains('1'));
    gone.until_open(0).await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_dead_is_passed_over() {
    let town = Town::new();
    let client = town.client();
    let _registered = [1, 2].map(|last| town.register(last));
    let _shop = teller(&town, 2);
    let began = Instant::now();
    assert_eq!(told(&town, 4).await, "2222");
    assert_eq!(began.elapsed(), Duration::ZERO);

    let shop = http_teller(&town, 2);
    for _ in 0..4 {
        assert_eq!(asked(&client).await.unwrap(), "2");
    }
    assert_eq!(shop.accepted(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_silent_costs_one_request_a_wait_and_leaves_time_for_another() {
    let town = Town::new();
    let _registered = [1, 2].map(|last| town.register(last));
    town.streets.silence(ip(1));
    let _shop = teller(&town, 2);
    let began = Instant::now();
    assert_eq!(town.call(Deadline::within(Duration::from_secs(2))).await.unwrap(), "2");
    assert_eq!(began.elapsed(), Duration::from_millis(500), "there is another");
    assert_eq!(told(&town, 4).await, "2222");
    assert_eq!(began.elapsed(), Duration::from_millis(500));
}

/// One instance that answers, by `teller`, and one that takes connections and says nothing, as one that was stopped does.
fn with_one_that_hangs(teller: fn(&Town, u8) -> Shop) -> (Town, impl Sized) {
    let town = Town::new();
    let all = ([1, 2].map(|last| town.register(last)), town.open(1, SHOP.as_str()), teller(&town, 2));
    (town, all)
}

/// Asks again and again, which takes no time once the first have found out who answers.
async fn assert_at_once(ask: impl AsyncFn()) {
    for _ in 0..4 {
        ask().await;
    }
    for _ in 0..20 {
        tokio::time::advance(SECOND).await;
        let began = Instant::now();
        ask().await;
        ask().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_hangs_costs_no_request_a_wait_once_that_is_known() {
    let (town, _all) = with_one_that_hangs(teller);
    assert_at_once(async || assert_eq!(told(&town, 1).await, "2")).await;
    let (town, _all) = with_one_that_hangs(http_teller);
    let client = town.client();
    assert_at_once(async || assert_eq!(asked(&client).await.unwrap(), "2")).await;
}

#[tokio::test(start_paused = true)]
async fn one_handshake_that_fails_counts_once_whoever_has_waited_for_it() {
    let town = Town::new();
    let _registered = town.register(1);
    town.streets.silence(ip(1));
    let waiting = futures_util::future::join_all((0..10).map(|_| town.call(Deadline::within(4 * SECOND))));
    assert!(waiting.await.iter().all(Result::is_err));
    let _shop = teller(&town, 1);
    assert_eq!(told(&town, 1).await, "1", "its circuit breaker is not open");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_reached_because_this_process_stood_still_is_held_against_nobody() {
    let town = Town::new();
    let client = town.client();
    let _registered = town.register(1);
    town.streets.silence(ip(1));
    let asking = futures_util::future::join_all((0..10).map(|_| asked(&client)));
    let (asked_before, ()) = tokio::join!(asking, tokio::time::advance(10 * SECOND));
    assert!(asked_before.iter().all(Result::is_err));
    let [callee] = town.outbound.status().try_into().unwrap();
    let states = callee.instances.iter().map(|instance| (instance.breaker, instance.is_away));
    assert_eq!(states.collect::<Vec<_>>(), [(State::Closed, false)]);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_patient_tries_what_took_too_long_for_another() {
    let town = Town::new();
    let _registered = town.register(1);
    town.streets.silence(ip(1));
    let hurried = town.call(Deadline::within(Duration::from_millis(500)));
    let opening = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        teller(&town, 1)
    };
    let (hurried, patient, _shop) = tokio::join!(hurried, town.call_patiently(), opening);
    assert_eq!(hurried.unwrap_err().message(), "no instance of user-service can be reached");
    assert_eq!(patient.unwrap(), "1");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_comes_back_is_called_again() {
    let town = Town::new();
    let client = town.client();
    let _registered = [1, 2].map(|last| town.register(last));
    let _shops = [1, 2].map(|last| http_teller(&town, last));
    town.streets.tear_down(ip(1));
    assert_eq!(asked(&client).await.unwrap(), "2");
    let _back = http_teller(&town, 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    let answers = [asked(&client).await.unwrap(), asked(&client).await.unwrap()];
    assert!(answers.contains(&Bytes::from("1")), "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_be_reached_nothing_has_happened() {
    let town = Town::new();
    let client = town.client();
    let unknown = town.call_patiently().await.unwrap_err();
    assert_eq!(unknown.class(), ErrorClass::Unavailable);
    assert_eq!(unknown.message(), "no instance of user-service is known");

    let _registered = [1, 2].map(|last| town.register(last));
    town.streets.silence(ip(2));
    let unreached = town.call_patiently().await.unwrap_err();
    assert_eq!(unreached.class(), ErrorClass::Unavailable);
    assert_eq!(unreached.message(), "no instance of user-service can be reached");
    assert_eq!(asked(&client).await.unwrap_err(), ErrorClass::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_prove_to_be_the_service_gets_no_request() {
    let town = Town::new();
    let client = town.client();
    let _registered = town.register(1);
    let (accepted, impostor) = town.open(1, "payment-service");
    let grpc = Shop::grpc(&town.env, accepted, impostor, |_| async { Ok("mine".to_owned()) }.boxed());
    let error = town.call_patiently().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unavailable);
    assert_eq!(grpc.accepted(), 0);

    let (accepted, impostor) = town.open(1, "payment-service");
    let answer = |_| async { http::Response::new(full("mine")) }.boxed();
    let http = Shop::http(&town.env, accepted, impostor, answer);
    assert_eq!(asked(&client).await.unwrap_err(), ErrorClass::Unavailable);
    assert_eq!(http.accepted(), 0);
}
