//! Connections of the proxy: used again, bounded, and left when they are old or in doubt.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use runtime::Deadline;
use service_client::{HttpClient, SendError};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use types::{Classify as _, ErrorClass};

use crate::shop::{Body, Shop, full};
use crate::town::{PATIENCE, Town, ip};

async fn get(client: &HttpClient<Body>, path: &str, within: Duration) -> Result<(), SendError> {
    let request = Request::get(path).body(full("")).unwrap();
    let answer = client.send(request, Deadline::within(within)).await?;
    answer.into_body().collect().await.map(drop).map_err(SendError::Lost)
}

fn tea(town: &Town) -> Shop {
    town.http(1, |_| async { Response::new(full("tea")) }.boxed())
}

/// Answers each request once the test lets it.
fn held(town: &Town) -> (Shop, Arc<Semaphore>) {
    let release = Arc::new(Semaphore::new(0));
    let released = Arc::clone(&release);
    let shop = town.http(1, move |_| {
        let released = Arc::clone(&released);
        async move {
            released.acquire().await.unwrap().forget();
            Response::new(full("tea"))
        }
        .boxed()
    });
    (shop, release)
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_for_one_request_after_the_other() {
    let town = Town::new();
    let client = town.client();
    let _registered = town.register(1);
    let shop = tea(&town);
    for _ in 0..10 {
        get(&client, "/", PATIENCE).await.unwrap();
    }
    assert_eq!(shop.accepted(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_connection_that_came_back_last_goes_first_and_the_others_grow_old() {
    let town = Town::new();
    let client = town.client();
    let _registered = town.register(1);
    let (shop, release) = held(&town);
    let crowd = join_all((0..3).map(|_| get(&client, "/", PATIENCE)));
    release.add_permits(3);
    assert!(crowd.await.iter().all(Result::is_ok));
    assert_eq!(shop.accepted(), 3);
    for _ in 0..7 {
        tokio::time::advance(Duration::from_secs(10)).await;
        release.add_permits(1);
        get(&client, "/", PATIENCE).await.unwrap();
    }
    shop.until_open(1).await;
    assert_eq!(shop.accepted(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_does_not_bring_a_connection_for_each_of_its_requests_when_fewer_will_do() {
    let town = Town::new();
    let client = town.client();
    let _registered = town.register(1);
    let shop = tea(&town);
    let crowd = join_all((0..400).map(|_| get(&client, "/", PATIENCE))).await;
    assert!(crowd.iter().all(Result::is_ok), "{crowd:?}");
    assert!(shop.accepted() < 100, "{} connections", shop.accepted());
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_not_used_so_late_that_the_callee_may_be_closing_it() {
    let town = Town::new();
    let client = town.client();
    let _registered = town.register(1);
    let shop = tea(&town);
    get(&client, "/", PATIENCE).await.unwrap();
    tokio::time::advance(Duration::from_secs(59)).await;
    get(&client, "/", PATIENCE).await.unwrap();
    assert_eq!(shop.accepted(), 1);
    tokio::time::advance(Duration::from_secs(60)).await;
    get(&client, "/", PATIENCE).await.unwrap();
    assert_eq!(shop.accepted(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_not_used_for_so_long_that_the_callee_ends_it() {
    let town = Town::new();
    let client = town.client();
    let _registered = town.register(1);
    let shop = tea(&town);
    for _ in 0..30 {
        get(&client, "/", PATIENCE).await.unwrap();
        tokio::time::advance(Duration::from_secs(50)).await;
    }
    assert_eq!(shop.accepted(), 1);
    get(&client, "/", PATIENCE).await.unwrap();
    get(&client, "/", PATIENCE).await.unwrap();
    assert_eq!(shop.accepted(), 2);
    shop.until_open(1).await;
}

#[tokio::test(start_paused = true)]
async fn so_many_requests_are_on_their_way_at_once_and_the_others_wait_for_their_turn() {
    let town = Town::new();
    let client = town.client();
    let _registered = town.register(1);
    let (shop, release) = held(&town);
    let crowd = join_all((0..600).map(|_| get(&client, "/", PATIENCE)));
    let script = async {
        let spent = get(&client, "/", Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(shop.accepted(), 250);
        release.add_permits(600);
        spent
    };
    let (answers, spent) = tokio::join!(crowd, script);
    assert!(answers.iter().all(Result::is_ok));
    assert!(matches!(spent, SendError::Spent), "{spent:?}");
    assert_eq!(spent.class(), ErrorClass::Unavailable);
    assert_eq!(shop.accepted(), 250, "those that waited went over the same connections");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_full_is_passed_over_while_another_has_a_place() {
    let town = Town::new();
    let client = town.client();
    let _full = town.register(1);
    let shop = town.http(1, |_| std::future::pending().boxed());
    let crowd = join_all((0..250).map(|_| get(&client, "/", PATIENCE)));
    let script = async {
        shop.until_accepted(250).await;
        let _free = town.register(2);
        town.http(2, |_| async { Response::new(full("tea")) }.boxed());
        let began = Instant::now();
        for _ in 0..4 {
            get(&client, "/", PATIENCE).await.unwrap();
        }
        began.elapsed()
    };
    let (answers, waited) = tokio::join!(crowd, script);
    assert_eq!(waited, Duration::ZERO);
    assert!(answers.iter().all(|answer| matches!(answer, Err(SendError::Late))));
}

#[tokio::test(start_paused = true)]
async fn where_all_are_full_requests_go_to_the_instance_that_has_a_place_first() {
    let town = Town::new();
    let client = town.client();
    let _registered = [1, 2].map(|last| town.register(last));
    let busy = town.http(2, |_| std::future::pending().boxed());
    let (shop, release) = held(&town);
    let crowd = join_all((0..502).map(|_| get(&client, "/", PATIENCE)));
    let script = async {
        shop.until_accepted(250).await;
        busy.until_accepted(250).await;
        release.add_permits(252);
    };
    let (answers, ()) = tokio::join!(crowd, script);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 252);
}

#[tokio::test(start_paused = true)]
async fn so_many_requests_wait_and_one_more_is_refused_at_once() {
    let town = Town::new();
    let client = town.client();
    let _registered = town.register(1);
    let (shop, release) = held(&town);
    let crowd = join_all((0..750).map(|_| get(&client, "/", PATIENCE)));
    let script = async {
        shop.until_accepted(250).await;
        let began = Instant::now();
        let refused = get(&client, "/", PATIENCE).await.unwrap_err();
        assert_eq!(began.elapsed(), Duration::ZERO);
        release.add_permits(750);
        refused
    };
    let (answers, refused) = tokio::join!(crowd, script);
    assert!(matches!(refused, SendError::Full(_)), "{refused:?}");
    assert_eq!(refused.class(), ErrorClass::Unavailable);
    assert!(answers.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_to_connect_goes_over_a_connection_that_comes_back() {
    let town = Town::new();
    let client = town.client();
    let _registered = town.register(1);
    let (shop, release) = held(&town);
    let first = get(&client, "/", PATIENCE);
    let script = async {
        shop.until_accepted(1).await;
        town.streets.silence(ip(1));
        let began = Instant::now();
        let crowd = join_all((0..16).map(|_| get(&client, "/", PATIENCE)));
        let next = async {
            sleep(Duration::from_millis(1)).await;
            let hurried = get(&client, "/", Duration::from_millis(500)).await.unwrap_err();
            assert!(matches!(hurried, SendError::Spent), "{hurried:?}");
            let patient = get(&client, "/", PATIENCE);
            let release = async { release.add_permits(2) };
            tokio::join!(patient, release).0.unwrap();
            began.elapsed()
        };
        tokio::join!(crowd, next)
    };
    let (first, (crowd, waited)) = tokio::join!(first, script);
    first.unwrap();
    assert_eq!(waited, Duration::from_millis(501));
    assert!(crowd.iter().all(|answer| matches!(answer, Err(SendError::Unreached { .. }))));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_in_vain_to_connect_to_an_instance_has_time_for_another() {
    let town = Town::new();
    let client = town.client();
    let _first = town.register(1);
    town.streets.silence(ip(1));
    let crowd = join_all((0..16).map(|_| get(&client, "/", PATIENCE)));
    let script = async {
        sleep(Duration::from_millis(1)).await;
        let _second = town.register(2);
        let shop = town.http(2, |_| async { Response::new(full("tea")) }.boxed());
        for _ in 0..2 {
            get(&client, "/", Duration::from_secs(1)).await.unwrap();
        }
        shop.accepted()
    };
    assert_eq!(tokio::join!(crowd, script).1, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_time_for_an_answer_takes_no_connection_from_the_others() {
    let town = Town::new();
    let client = town.client();
    let _registered = town.register(1);
    let shop = tea(&town);
    get(&client, "/", PATIENCE).await.unwrap();
    let spent = get(&client, "/", Duration::from_micros(900)).await.unwrap_err();
    assert!(matches!(spent, SendError::Spent), "{spent:?}");
    get(&client, "/", PATIENCE).await.unwrap();
    assert_eq!(shop.accepted(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_meets_the_end_of_its_connection_goes_over_another() {
    let town = Town::new();
    let client = town.client();
    let _registered = town.register(1);
    let shop = tea(&town);
    get(&client, "/", PATIENCE).await.unwrap();
    // Time passes when all tasks are at rest. The server's is the next to run; ours hears of the end after the send.
    tokio::time::sleep(Duration::from_millis(1)).await;
    shop.cut();
    get(&client, "/", PATIENCE).await.unwrap();
    assert_eq!(shop.accepted(), 2);
}

#[tokio::test(start_paused = true)]
async fn connections_that_have_been_idle_since_a_late_request_are_not_used_again() {
    let town = Town::new();
    let client = town.client();
    let _registered = town.register(1);
    let (shop, release) = held(&town);
    let crowd = join_all((0..3).map(|_| get(&client, "/", PATIENCE)));
    release.add_permits(3);
    assert!(crowd.await.iter().all(Result::is_ok));
    tokio::time::advance(Duration::from_secs(1)).await;

    let late = get(&client, "/", Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(late, SendError::Late), "{late:?}");
    shop.until_open(0).await;
    release.add_permits(1);
    get(&client, "/", PATIENCE).await.unwrap();
    assert_eq!(shop.accepted(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_late_request_does_not_cost_the_others_their_connections_while_they_are_answered() {
    let town = Town::new();
    let client = town.client();
    let _registered = town.register(1);
    let shop = town.http(1, |request| match request.uri().path() {
        "/slow" => std::future::pending().boxed(),
        _ => sleep(Duration::from_millis(100)).map(|()| Response::new(full("tea"))).boxed(),
    });
    let crowd = || join_all((0..3).map(|_| get(&client, "/", PATIENCE)));
    assert!(crowd().await.iter().all(Result::is_ok));
    sleep(Duration::from_secs(1)).await;
    let others = async {
        sleep(Duration::from_millis(500)).await;
        get(&client, "/", PATIENCE).await
    };
    let (late, other) = tokio::join!(get(&client, "/slow", Duration::from_secs(1)), others);
    assert!(matches!(late, Err(SendError::Late)), "{late:?}");
    other.unwrap();
    assert!(crowd().await.iter().all(Result::is_ok));
    assert_eq!(shop.accepted(), 4, "one in the place of that of the late request");
}
