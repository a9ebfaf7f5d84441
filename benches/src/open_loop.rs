//! Load as it comes from people who do not wait for each other: requests begin when it is their time, whether those before
//! them have been answered or not, and what each takes is counted from then.
//!
//! A driver that waits for answers asks less just when the platform is slow, and does not see what all those who would have
//! asked then went through (G. Tene's "coordinated omission").

mod client;
mod schedule;
mod timeline;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use runtime::Env;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

pub(crate) use self::client::Client;
use self::schedule::Schedule;
pub(crate) use self::timeline::{End, Part, Record, Timeline};
use crate::load::all_at_once;

/// As many as begin while their clients are patient when 300 do in each second, and less than the connections that the
/// gateway lets one address have here.
const MOST_IN_FLIGHT: u32 = 4_500;

/// A request as it is sent again and again.
pub(crate) type Asked = Request<Full<Bytes>>;

/// What is asked, how often and for how long.
pub(crate) struct Load {
    /// Taken in turn.
    pub(crate) requests: Vec<Asked>,
    /// Requests that begin per second, on average.
    pub(crate) per_second: f64,
    pub(crate) span: Duration,
    /// How often a request is sent again when the answer says when to.
    pub(crate) retries: u32,
    /// The same schedule each time.
    pub(crate) seed: u64,
}

impl Load {
    /// Lets every request begin at its time after `began`, and waits until all have ended. One that finds too many under
    /// way is not begun, and counts as failed.
    pub(crate) async fn drive(&self, client: &Arc<Client>, began: Instant) -> Result<Timeline> {
        let places = Arc::new(Semaphore::new(MOST_IN_FLIGHT as usize));
        let ended = Arc::new(Mutex::new(Vec::new()));
        let schedule = Schedule::new(self.seed, self.per_second, self.span);
        for (at, request) in schedule.zip(self.requests.iter().cycle()) {
            sleep_until(began + at).await;
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                note(&ended, Record::not_begun(at));
                continue;
            };
            let (client, request, ended) = (Arc::clone(client), request.clone(), Arc::clone(&ended));
            let retries = self.retries;
            client.env.tasks.clone().spawn("request", async move {
                let (end, attempts) = client.ask(&request, began + at, retries).await;
                note(&ended, Record { at, took: (began + at).elapsed(), end, attempts });
                drop(place);
            });
        }
        // None takes longer than its client's patience.
        drop(places.acquire_many(MOST_IN_FLIGHT).await?);
        let records = std::mem::take(&mut *ended.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Timeline::new(records))
    }
}

fn note(ended: &Mutex<Vec<Record>>, record: Record) {
    ended.lock().unwrap_or_else(PoisonError::into_inner).push(record);
}

/// How many requests are answered per second when each of `callers` sends its next one as soon as it is answered. Who is
/// refused comes back when told to: those who do not wait would cost what answers the others.
pub(crate) async fn capacity(
    client: &Arc<Client>,
    requests: &[Asked],
    callers: usize,
    span: Duration,
) -> Result<f64> {
    let began = Instant::now();
    let callers = (0..callers).map(|nth| {
        let (client, request) = (Arc::clone(client), requests[nth % requests.len()].clone());
        async move {
            let mut answered = 0_u32;
            while began.elapsed() < span {
                let (end, _) = client.ask(&request, Instant::now(), u32::MAX).await;
                answered += u32::from(end == End::Answered);
            }
            Ok(answered)
        }
    });
    let env: &Env = &client.env;
    let answered: u32 = all_at_once(env, callers).await?.iter().sum();
    Ok(f64::from(answered) / began.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::sleep;

    use super::*;

    const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    const REFUSAL: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
    const SECOND: Duration = Duration::from_secs(1);

    /// A load of one second on a service that says `first` to what comes within it, and answers later; each after `pause`.
    async fn driven(per_second: f64, first: &'static str, pause: Duration) -> Timeline {
        let began = Instant::now();
        let env = Env::system(1);
        let mut service = env.net.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let addr = service.local_addr().unwrap();
        let tasks = env.tasks.clone();
        env.tasks.spawn("service", async move {
            while let Ok((mut io, _)) = service.accept().await {
                tasks.spawn("connection", async move {
                    let mut request = [0; 1_024];
                    while io.read(&mut request).await.is_ok_and(|read| read > 0) {
                        let answer = if began.elapsed() < SECOND { first } else { ANSWER };
                        sleep(pause).await;
                        // Whoever asked may have lost patience.
                        drop(io.write_all(answer.as_bytes()).await);
                    }
                });
            }
        });
        let request = Request::get("/").body(Full::default()).unwrap();
        let load = Load { requests: vec![request], per_second, span: SECOND, retries: 1, seed: 3 };
        load.drive(&Arc::new(Client::new(&env, addr)), began).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_begin_at_their_time_though_none_has_been_answered() {
        let timeline = driven(20.0, ANSWER, 3 * SECOND).await;
        let all = timeline.part(Duration::ZERO, SECOND);
        let expected = Schedule::new(3, 20.0, SECOND).count();
        assert_eq!((all.begun(), all.count(|end| end == End::Answered)), (expected, expected));
        assert!(all.p99(End::Answered) < 3_100.0, "{}", all.p99(End::Answered));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_request_takes_counts_from_when_it_was_to_begin_through_all_attempts() {
        let timeline = driven(5.0, REFUSAL, Duration::from_millis(100)).await;
        let all = timeline.part(Duration::ZERO, SECOND);
        assert_eq!(all.failures(), "none");
        assert_eq!(timeline.attempts() as usize, 2 * all.begun());
        // Two answers, and the time after which to come again.
        assert!(all.median(End::Answered) >= 1_200.0, "{}", all.median(End::Answered));
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_never_answers_is_not_waited_for_longer_than_people_do() {
        let timeline = driven(5.0, ANSWER, 60 * SECOND).await;
        let all = timeline.part(Duration::ZERO, SECOND);
        assert_eq!(all.failures(), format!("{} Late", all.begun()));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_finds_too_many_under_way_counts_as_failed() {
        let timeline = driven(f64::from(MOST_IN_FLIGHT) + 1_000.0, ANSWER, 10 * SECOND).await;
        let all = timeline.part(Duration::ZERO, SECOND);
        let answered = all.count(|end| end == End::Answered);
        assert!(answered <= MOST_IN_FLIGHT as usize && answered < all.begun(), "{answered}");
        assert_eq!(all.failures(), format!("{} NotBegun", all.begun() - answered));
    }
}
