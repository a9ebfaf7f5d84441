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

/// As many as 300 in each second are in 15, and less than the connections that the gateway lets one address have here.
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

/// How many requests are answered per second when each of `callers` sends its next one as soon as it is answered.
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
                let (end, _) = client.ask(&request, Instant::now(), 0).await;
                answered += u32::from(end == End::Answered);
            }
            Ok(answered)
        }
    });
    let env: &Env = &client.env;
    let answered: u32 = all_at_once(env, callers).await?.iter().sum();
    Ok(f64::from(answered) / began.elapsed().as_secs_f64())
}
