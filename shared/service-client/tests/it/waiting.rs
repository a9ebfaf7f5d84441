//! A request beside which another is sent, since its instance says nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use runtime::Deadline;
use service_client::{HttpClient, SendError, What, Witness};
use tokio::time::{Instant, sleep};

use crate::shop::{Body, Shop, full};
use crate::town::{PATIENCE, SHOP, Town, ip};

const SECOND: Duration = Duration::from_secs(1);

/// Who was sent to, in order.
type Sent = Arc<Mutex<Vec<u8>>>;

async fn send(client: &HttpClient<Body>, request: Request<Body>, within: Duration) -> Result<u8, SendError> {
    let answer = client.send(request, Deadline::within(within)).await?;
    assert_eq!(answer.status(), StatusCode::OK);
    Ok(answer.into_body().collect().await.unwrap().to_bytes()[0] - b'0')
}

fn get() -> Request<Body> {
    Request::get("/tea").body(full("")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_long_is_answered_by_whoever_began_with_it_and_sent_twice_at_most() {
    let (town, sent) = (Town::new(), Sent::default());
    let _registered = [1, 2].map(|last| town.register(last));
    let _shops = serve(&town, &sent, &[5, 5]);
    let began = Instant::now();
    let answered = send(&town.client(), get(), SECOND * 11 / 2).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 5, "nothing of what was done is lost");
    let sent = sent.lock().unwrap();
    assert_eq!((sent.len(), sent[0]), (2, answered));
}

#[tokio::test(start_paused = true)]
async fn whoever_answers_first_of_the_two_has_answered() {
    let (town, sent) = (Town::new(), Sent::default());
    let _registered = [1, 2].map(|last| town.register(last));
    let _shops = serve(&town, &sent, &[5, 2]);
    let began = Instant::now();
    let answered = send(&town.client(), get(), PATIENCE).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_eq!(sent.lock().unwrap()[1], answered);
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_taken_where_nobody_else_has_one() {
    let (town, sent) = (Town::new(), Sent::default());
    let _registered = [1, 2].map(|last| town.register(last));
    let _shops = serve(&town, &sent, &[3, 3, 3]);
    town.streets.tear_down(ip(2));
    let client = town.client();
    for _ in 0..3 {
        // At first nobody knows that the other is dead, which is no reason to lose what the one is at.
        assert_eq!(send(&client, get(), PATIENCE).await.unwrap(), 1);
    }
    assert_eq!(*sent.lock().unwrap(), [1; 3]);
}

#[tokio::test(start_paused = true)]
async fn whoever_has_nowhere_better_to_go_stays_and_pays_nothing() {
    const QUICK: usize = 20;
    const TAKES: [u64; QUICK + 1] = {
        let mut takes = [0; QUICK + 1];
        takes[QUICK] = 3;
        takes
    };
    let (town, sent) = (Town::new(), Sent::default());
    let _registered = [1, 2].map(|last| town.register(last));
    let _shops = serve(&town, &sent, &TAKES);
    town.streets.tear_down(ip(2));
    let paid = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&paid);
    let witness: Witness = Arc::new(move |event| {
        seen.fetch_add(usize::from(event.what == What::Paid), Ordering::Relaxed);
    });
    let client: HttpClient<Body> = town.outbound.watched_by(witness).http(&SHOP);
    for _ in 0..TAKES.len() {
        assert_eq!(send(&client, get(), PATIENCE).await.unwrap(), 1);
    }
    assert_eq!(paid.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_still_on_its_way_keeps_its_request_where_it_is() {
    for pieces in [6, 70] {
        let (town, sent) = (Town::new(), Sent::default());
        let _registered = [1, 2].map(|last| town.register(last));
        let _shops = serve(&town, &sent, &[0, 0]);
        let kib = move |_| async {
            sleep(SECOND / 4).await;
            Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(vec![7; 1024])))
        };
        let body = StreamBody::new(Box::pin(stream::iter(0..pieces).then(kib)));
        let body = body.map_err(Into::into).boxed_unsync();
        let request = Request::put("/tea").body(body).unwrap();
        send(&town.client(), request, PATIENCE).await.unwrap();
        assert_eq!(sent.lock().unwrap().len(), 1, "{pieces} KiB");
    }
}

/// Instances of which each takes so long for the requests of all, by the order in which they come.
fn serve(town: &Town, sent: &Sent, takes: &'static [u64]) -> Vec<Shop> {
    let count = Arc::new(AtomicUsize::new(0));
    let shop = |last| {
        let (sent, count) = (Arc::clone(sent), Arc::clone(&count));
        town.http(last, move |request| {
            sent.lock().unwrap().push(last);
            let seconds = takes[count.fetch_add(1, Ordering::Relaxed)];
            async move {
                drop(request.into_body().collect().await);
                sleep(SECOND * seconds as u32).await;
                Response::new(full(last.to_string()))
            }
            .boxed()
        })
    };
    [1, 2].map(shop).into()
}
