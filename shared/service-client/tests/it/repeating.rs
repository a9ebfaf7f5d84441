//! What is sent more than once, where, and how often.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use resilience::State;
use runtime::Deadline;
use service_client::{HttpClient, OwnTerms, SendError, allow_retry, forbid_retry};
use tokio::time::{Instant, sleep};
use tonic::Status;
use types::{Classify as _, ErrorClass};

use crate::shop::{Body, Shop, full};
use crate::town::{PATIENCE, Town};

/// What an instance does with a request.
#[derive(Clone, Copy)]
enum Does {
    Answer(u16),
    /// As [`Does::Answer`] with 503, and wants to be left alone for so many seconds.
    AskForRest(u64),
    /// 503 by something on the way.
    GetLost,
    /// As [`Does::Answer`] with 503, because of somebody else.
    PassOn,
    /// Nothing, until the connection is cut.
    Hang,
}

/// Instances that note what they were sent.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<(u8, Bytes)>>>);

impl Notes {
    fn take(&self) -> Vec<(u8, Bytes)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn instances(&self) -> Vec<u8> {
        self.take().into_iter().map(|(last, _)| last).collect()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Serves an instance whose requests go as `does` says.
fn serve(town: &Town, last: u8, notes: &Notes, does: impl Fn() -> Does + Send + Sync + 'static) -> Shop {
    let notes = notes.clone();
    town.http(last, move |request| {
        let (notes, does) = (notes.clone(), does());
        async move {
            let body = request.into_body().collect().await.map(|body| body.to_bytes());
            notes.0.lock().unwrap().push((last, body.unwrap_or_default()));
            let mut answer = Response::new(full("tea"));
            *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            allow_retry(answer.headers_mut());
            match does {
                Does::GetLost => drop(answer.headers_mut().remove("flotilla-retry")),
                Does::Answer(status) => *answer.status_mut() = StatusCode::from_u16(status).unwrap(),
                Does::AskForRest(seconds) => drop(answer.headers_mut().insert("retry-after", seconds.into())),
                Does::PassOn => forbid_retry(answer.headers_mut()),
                Does::Hang => std::future::pending().await,
            }
            answer
        }
        .boxed()
    })
}

/// The first request that comes to any of them goes as `first` says, all others are answered by 200.
fn serve_two(town: &Town, notes: &Notes, first: Does) -> [Shop; 2] {
    let count = Arc::new(AtomicUsize::new(0));
    [1, 2].map(|last| {
        let count = Arc::clone(&count);
        let does = move || match count.fetch_add(1, Ordering::Relaxed) {
            0 => first,
            _ => Does::Answer(200),
        };
        serve(town, last, notes, does)
    })
}

async fn send(
    client: &HttpClient<Body>,
    method: Method,
    body: impl Into<Bytes>,
) -> Result<StatusCode, SendError> {
    let request = Request::builder().method(method).uri("/tea").body(full(body)).unwrap();
    Ok(client.send(request, Deadline::within(PATIENCE)).await?.status())
}

/// Cuts what is open as soon as the first request has come.
async fn cut_the_first(shops: &[Shop; 2], notes: &Notes) {
    while notes.count() == 0 {
        tokio::task::yield_now().await;
    }
    shops.iter().for_each(Shop::cut);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_happened_is_sent_again_where_that_does_no_harm_and_to_another_instance() {
    for (method, is_repeated) in [
        (Method::GET, true),
        (Method::PUT, true),
        (Method::DELETE, true),
        (Method::POST, false),
        (Method::PATCH, false),
    ] {
        let (town, notes) = (Town::new(), Notes::default());
        let _registered = [1, 2].map(|last| town.register(last));
        let shops = serve_two(&town, &notes, Does::Hang);
        let client = town.client();
        let (outcome, ()) =
            tokio::join!(send(&client, method.clone(), "milk"), cut_the_first(&shops, &notes));
        let mut instances = notes.instances();
        if is_repeated {
            assert_eq!(outcome.unwrap(), StatusCode::OK, "{method}");
            instances.sort_unstable();
            assert_eq!(instances, [1, 2], "{method}");
        } else {
            let error = outcome.unwrap_err();
            assert!(matches!(error, SendError::Lost(_)), "{method}: {error:?}");
            assert_eq!((error.class(), instances.len()), (ErrorClass::Unknown, 1), "{method}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_with_an_idempotency_key_is_repeated_where_keys_are_kept_and_nowhere_else() {
    for keyed in [true, false] {
        let (town, notes) = (Town::new(), Notes::default());
        let _registered = [1, 2].map(|last| town.register(last));
        let shops = serve_two(&town, &notes, Does::Hang);
        let client = town.client().on("/orders", &OwnTerms { keyed, ..OwnTerms::default() });
        let request = Request::post("/orders").header("idempotency-key", "7").body(full("milk")).unwrap();
        let sent = client.send(request, Deadline::within(PATIENCE));
        let (answer, ()) = tokio::join!(sent, cut_the_first(&shops, &notes));
        let outcome = answer.map(|answer| answer.status()).map_err(|error| error.class());
        let bodies: Vec<_> = notes.take().into_iter().map(|(_, body)| body).collect();
        if keyed {
            assert_eq!((outcome, &bodies[..]), (Ok(StatusCode::OK), &["milk", "milk"].map(Bytes::from)[..]));
        } else {
            assert_eq!((outcome, bodies.len()), (Err(ErrorClass::Unknown), 1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_did_not_happen_is_sent_to_another_instance_whatever_it_is_and_whole() {
    let (town, notes) = (Town::new(), Notes::default());
    let _registered = [1, 2].map(|last| town.register(last));
    let _shops = serve_two(&town, &notes, Does::AskForRest(60));
    let began = Instant::now();
    assert_eq!(send(&town.client(), Method::POST, "milk").await.unwrap(), StatusCode::OK);
    assert!(began.elapsed() < Duration::from_secs(1), "the other has not asked to be left alone");
    let bodies: Vec<_> = notes.take().into_iter().map(|(_, body)| body).collect();
    assert_eq!(bodies, ["milk", "milk"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_wants_to_be_left_alone_is_where_there_is_no_other() {
    let (town, notes) = (Town::new(), Notes::default());
    let _registered = [1, 2].map(|last| town.register(last));
    let _shops = [1, 2].map(|last| serve(&town, last, &notes, || Does::AskForRest(1)));
    let (client, began) = (town.client(), Instant::now());
    assert_eq!(send(&client, Method::POST, "").await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    let mut instances = notes.instances();
    instances.sort_unstable();
    assert_eq!(instances, [1, 2], "each was asked once");
    assert!(began.elapsed() < Duration::from_millis(100), "who asked is told at once");
}

#[tokio::test(start_paused = true)]
async fn what_was_tried_again_further_on_is_not_tried_again_here() {
    let (town, notes) = (Town::new(), Notes::default());
    let _registered = [1, 2].map(|last| town.register(last));
    let _shops = serve_two(&town, &notes, Does::PassOn);
    assert_eq!(send(&town.client(), Method::GET, "").await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(notes.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_something_on_the_way_refuses_may_have_happened() {
    for (method, outcome, sent) in [
        (Method::GET, Ok(StatusCode::OK), 2),
        (Method::PUT, Ok(StatusCode::OK), 2),
        (Method::POST, Err(ErrorClass::Unknown), 1),
    ] {
        let (town, notes) = (Town::new(), Notes::default());
        let _registered = [1, 2].map(|last| town.register(last));
        let _shops = serve_two(&town, &notes, Does::GetLost);
        let came = send(&town.client(), method.clone(), "milk").await.map_err(|error| error.class());
        assert_eq!((came, notes.count()), (outcome, sent), "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_would_not_be_another_is_no_reason_to_ask_again() {
    for status in [400, 404, 409, 429, 500, 504] {
        let (town, notes) = (Town::new(), Notes::default());
        let _registered = [1, 2].map(|last| town.register(last));
        let _shops = serve_two(&town, &notes, Does::Answer(status));
        assert_eq!(send(&town.client(), Method::GET, "").await.unwrap(), status);
        assert_eq!(notes.count(), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_body_is_sent_once() {
    let (town, notes) = (Town::new(), Notes::default());
    let _registered = [1, 2].map(|last| town.register(last));
    let _shops = serve_two(&town, &notes, Does::Answer(503));
    let body = vec![7; 64 * 1024 + 1];
    assert_eq!(send(&town.client(), Method::PUT, body).await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(notes.count(), 1);

    let _shops = serve_two(&town, &notes, Does::Answer(503));
    notes.take();
    assert_eq!(send(&town.client(), Method::PUT, vec![7; 64 * 1024]).await.unwrap(), StatusCode::OK);
    assert!(notes.take().iter().all(|(_, body)| body.len() == 64 * 1024));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_more_often_than_its_terms_say() {
    let (town, notes) = (Town::new(), Notes::default());
    let _registered = [1, 2, 3, 4].map(|last| town.register(last));
    let _shops = [1, 2, 3, 4].map(|last| serve(&town, last, &notes, || Does::Answer(503)));
    let client = town.client();
    assert_eq!(send(&client, Method::GET, "").await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    let mut instances = notes.instances();
    instances.sort_unstable();
    instances.dedup();
    assert_eq!(instances.len(), 3, "each time another instance");
    let once = client.on("/", &OwnTerms { attempts: Some(1), ..OwnTerms::default() });
    assert_eq!(send(&once, Method::GET, "").await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(notes.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn where_everything_fails_repetitions_add_a_tenth_and_a_few() {
    let (town, notes) = (Town::new(), Notes::default());
    let _registered = [1, 2].map(|last| town.register(last));
    let _shops = [1, 2].map(|last| serve(&town, last, &notes, || Does::Answer(503)));
    let client = town.client();
    for _ in 0..1_000 {
        send(&client, Method::GET, "").await.unwrap();
    }
    assert!((1_010..=1_110).contains(&notes.count()), "{}", notes.count());
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_has_fallen_silent_is_left_for_another_by_what_may_be_repeated() {
    let (town, notes) = (Town::new(), Notes::default());
    let _registered = [1, 2].map(|last| town.register(last));
    let _shops = serve_two(&town, &notes, Does::Hang);
    let began = Instant::now();
    assert_eq!(send(&town.client(), Method::GET, "").await.unwrap(), StatusCode::OK);
    let waited = began.elapsed();
    assert!((1_000..1_100).contains(&waited.as_millis()), "{waited:?}");

    let _shops = serve_two(&town, &notes, Does::Hang);
    let began = Instant::now();
    let late = send(&town.client(), Method::POST, "").await.unwrap_err();
    assert!(matches!(late, SendError::Late), "{late:?}");
    assert_eq!(began.elapsed(), PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn whoever_works_long_on_one_request_and_answers_others_is_waited_for() {
    let (town, notes) = (Town::new(), Notes::default());
    let _registered = [1, 2].map(|last| town.register(last));
    let _shops = [1, 2].map(|last| {
        let notes = notes.clone();
        town.http(last, move |request| {
            let (notes, is_long) = (notes.clone(), request.uri().path() == "/report");
            async move {
                if is_long {
                    notes.0.lock().unwrap().push((last, Bytes::new()));
                    sleep(Duration::from_secs(5)).await;
                }
                Response::new(full("tea"))
            }
            .boxed()
        })
    });
    let client = town.client();
    let report = Request::get("/report").body(full("")).unwrap();
    let others = async {
        for _ in 0..100 {
            sleep(Duration::from_millis(100)).await;
            join_all((0..4).map(|_| send(&client, Method::GET, ""))).await;
        }
    };
    let (answer, ()) = tokio::join!(client.send(report, Deadline::within(PATIENCE)), others);
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
    assert_eq!(notes.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_not_to_have_happened_that_may_have_in_an_earlier_attempt() {
    let (town, notes) = (Town::new(), Notes::default());
    let _registered = [1, 2].map(|last| town.register(last));
    let count = Arc::new(AtomicUsize::new(0));
    let shops = [1, 2].map(|last| {
        let count = Arc::clone(&count);
        serve(&town, last, &notes, move || match count.fetch_add(1, Ordering::Relaxed) {
            0 => Does::Hang,
            _ => Does::Answer(503),
        })
    });
    let client = town.client();
    let (outcome, ()) = tokio::join!(send(&client, Method::PUT, "milk"), cut_the_first(&shops, &notes));
    let error = outcome.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unknown, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_an_earlier_attempt_may_have_brought_about_is_not_told_as_the_answer() {
    let cases = [(Method::DELETE, 404, None), (Method::PUT, 412, None), (Method::GET, 404, Some(404))];
    for (method, status, answer) in cases {
        let (town, notes) = (Town::new(), Notes::default());
        let _registered = [1, 2].map(|last| town.register(last));
        let count = Arc::new(AtomicUsize::new(0));
        let shops = [1, 2].map(|last| {
            let count = Arc::clone(&count);
            serve(&town, last, &notes, move || match count.fetch_add(1, Ordering::Relaxed) {
                0 => Does::Hang,
                _ => Does::Answer(status),
            })
        });
        let client = town.client();
        let sent = send(&client, method.clone(), "");
        let (outcome, ()) = tokio::join!(sent, cut_the_first(&shops, &notes));
        let expected = answer.ok_or(ErrorClass::Unknown);
        let outcome = outcome.map(|status| status.as_u16()).map_err(|error| error.class());
        assert_eq!(outcome, expected, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_repeated_by_the_same_rules() {
    let town = Town::new();
    let _registered = [1, 2].map(|last| town.register(last));
    let (count, called) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let _shops = [1, 2].map(|last| {
        let (count, called) = (Arc::clone(&count), Arc::clone(&called));
        town.grpc(last, move |_| {
            called.lock().unwrap().push(last);
            let is_first = count.fetch_add(1, Ordering::Relaxed) == 0;
            let unavailable = proto::status::of(ErrorClass::Unavailable, "not now", &[]);
            async move { if is_first { Err(unavailable) } else { Ok(last.to_string()) } }.boxed()
        })
    });
    let told = town.call_patiently().await.unwrap();
    let called = std::mem::take(&mut *called.lock().unwrap());
    assert_eq!(called.len(), 2);
    assert_ne!(called[0], called[1]);
    assert_eq!(told, called[1].to_string());
}

#[tokio::test(start_paused = true)]
async fn a_silent_instance_is_left_by_a_call_that_may_be_repeated() {
    let town = Town::new();
    let _registered = [1, 2].map(|last| town.register(last));
    let count = Arc::new(AtomicUsize::new(0));
    let _shops = [1, 2].map(|last| {
        let count = Arc::clone(&count);
        town.grpc(last, move |_| match count.fetch_add(1, Ordering::Relaxed) {
            0 => std::future::pending().boxed(),
            _ => async move { Ok(last.to_string()) }.boxed(),
        })
    });
    let began = Instant::now();
    town.call_patiently().await.unwrap();
    let waited = began.elapsed();
    assert!((1_000..1_100).contains(&waited.as_millis()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_fails_again_and_again_is_left_out() {
    let town = Town::new();
    let _registered = [1, 2].map(|last| town.register(last));
    let called = Arc::new(Mutex::new(Vec::new()));
    let shops = [1, 2].map(|last| {
        let called = Arc::clone(&called);
        town.grpc(last, move |_| {
            called.lock().unwrap().push(last);
            let outcome = if last == 1 { Err(Status::internal("a fault")) } else { Ok("2".to_owned()) };
            async move { outcome }.boxed()
        })
    });
    let calls = (0..200).map(|_| town.call_patiently());
    let failed = join_all(calls).await.into_iter().filter(Result::is_err).count();
    let of_first = called.lock().unwrap().iter().filter(|last| **last == 1).count();
    assert_eq!(failed, of_first);
    assert!(failed < 120, "{failed}");
    called.lock().unwrap().clear();
    for _ in 0..50 {
        assert_eq!(town.call_patiently().await.unwrap(), "2");
    }
    assert_eq!(*called.lock().unwrap(), [2; 50]);
    drop(shops);
}

#[tokio::test(start_paused = true)]
async fn instances_that_all_wait_for_the_same_are_not_left_out_for_it() {
    let (town, notes) = (Town::new(), Notes::default());
    let _registered = [1, 2].map(|last| town.register(last));
    // Those up to this one.
    let stalled = Arc::new(AtomicU8::new(2));
    let _shops = [1, 2].map(|last| {
        let (notes, stalled) = (notes.clone(), Arc::clone(&stalled));
        town.http(last, move |_| {
            notes.0.lock().unwrap().push((last, Bytes::new()));
            let stalled = Arc::clone(&stalled);
            async move {
                while stalled.load(Ordering::Relaxed) >= last {
                    sleep(Duration::from_millis(10)).await;
                }
                Response::new(full("tea"))
            }
            .boxed()
        })
    });
    let client = town.client();
    let crowd = join_all((0..100).map(|_| send(&client, Method::GET, "")));
    let end = async {
        sleep(Duration::from_secs(3)).await;
        assert!(notes.count() <= 120, "{}", notes.count());
        // One of them goes on a little sooner.
        for last in [1, 0] {
            stalled.store(last, Ordering::Relaxed);
            sleep(Duration::from_millis(100)).await;
        }
    };
    let (answers, ()) = tokio::join!(crowd, end);
    assert!(answers.into_iter().all(|answer| answer.unwrap() == StatusCode::OK));
    let callees = town.outbound.status();
    let mut breakers = callees[0].instances.iter().map(|instance| instance.breaker);
    assert!(breakers.all(|breaker| breaker == State::Closed), "{callees:?}");
}
