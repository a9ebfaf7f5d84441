//! What the gateway tells the public of the platform: which services can be asked, and not where they are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use chassis::{Check, Finding, Health, Problem, Status};
use futures_util::future::join_all;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use runtime::Deadline;
use serde::Serialize;
use service_client::Channel;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use types::{ErrorClass, ServiceName};

/// Where it is told.
pub(crate) const PATH: &str = "/health";

/// How the services that requests are passed to are.
#[derive(Debug)]
pub(crate) struct Neighbours(Vec<Neighbour>);

#[derive(Debug)]
struct Neighbour {
    service: ServiceName,
    channel: Channel,
    state: AtomicU8,
}

/// How a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
enum State {
    /// It has not been asked yet.
    Unknown,
    /// It takes requests.
    Ok,
    /// It says that something it needs is not as it should be.
    Failing,
    /// It does not say anything.
    Away,
}

impl State {
    const ALL: [Self; 4] = [Self::Unknown, Self::Ok, Self::Failing, Self::Away];
}

#[derive(Serialize)]
struct Told<'a> {
    status: Status,
    services: BTreeMap<&'a str, State>,
}

impl Neighbours {
    /// Often enough for whoever looks at it, and nothing beside the requests.
    const EVERY: Duration = Duration::from_secs(2);
    /// What takes longer than this is as good as away.
    const PATIENCE: Duration = Duration::from_secs(1);
    /// In the beginning they are asked again after this, and then after twice as long each time: all start together.
    const FIRST_PAUSE: Duration = Duration::from_millis(5);
    /// After so long the gateway is ready without those that have not been heard of: one that is dead must not keep all
    /// others from being reached.
    const WAIT: Duration = Duration::from_secs(10);

    pub(crate) fn new(services: impl IntoIterator<Item = (ServiceName, Channel)>) -> Arc<Self> {
        let neighbour =
            |(service, channel)| Neighbour { service, channel, state: AtomicU8::new(State::Unknown as u8) };
        Arc::new(Self(services.into_iter().map(neighbour).collect()))
    }

    /// Asks them again and again until `stop`. The `check` passes as soon as each has answered once, or they have been
    /// waited for.
    pub(crate) async fn keep_asking(self: Arc<Self>, check: Check, stop: CancellationToken) {
        let asking = async {
            let waiting = Deadline::within(Self::WAIT);
            let mut pause = Self::FIRST_PAUSE;
            loop {
                join_all(self.0.iter().map(Neighbour::ask)).await;
                let unheard = self.unheard();
                if unheard.is_empty() || waiting.has_passed() {
                    break;
                }
                check.report(Finding::Failing { reason: format!("waits for {}", unheard.join(", ")) });
                sleep(pause).await;
                pause = (pause * 2).min(Self::EVERY);
            }
            check.report(Finding::Ok);
            loop {
                sleep(Self::EVERY).await;
                join_all(self.0.iter().map(Neighbour::ask)).await;
            }
        };
        stop.run_until_cancelled(asking).await;
    }

    fn unheard(&self) -> Vec<&str> {
        let unheard = self.0.iter().filter(|it| [State::Unknown, State::Away].contains(&it.state()));
        unheard.map(|it| it.service.as_str()).collect()
    }

    /// The answer to a request for [`PATH`].
    pub(crate) fn tell(&self, own: &Health, method: &Method) -> Response {
        if ![Method::GET, Method::HEAD].contains(method) {
            return not_allowed();
        }
        let services: BTreeMap<_, _> = self.0.iter().map(|it| (it.service.as_str(), it.state())).collect();
        let status = match own.report().status {
            Status::Ok if services.values().any(|state| *state != State::Ok) => Status::Degraded,
            status => status,
        };
        let json = serde_json::to_vec(&Told { status, services }).expect("words are always JSON");
        let mut response = Response::new(Body::from(json));
        // What is degraded serves all that does not need what is away: it is to be sent requests.
        if status == Status::Draining {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

fn not_allowed() -> Response {
    let problem = Problem::new(ErrorClass::Invalid, "health is asked for by GET");
    ([(ALLOW, "GET, HEAD")], problem.with_status(StatusCode::METHOD_NOT_ALLOWED)).into_response()
}

impl Neighbour {
    async fn ask(&self) {
        let deadline = Deadline::within(Neighbours::PATIENCE);
        let state = match Health::ask(self.channel.clone(), deadline).await {
            Ok(true) => State::Ok,
            Ok(false) => State::Failing,
            Err(_) => State::Away,
        };
        self.state.store(state as u8, Ordering::Relaxed);
    }

    fn state(&self) -> State {
        let state = self.state.load(Ordering::Relaxed);
        State::ALL.into_iter().find(|known| *known as u8 == state).expect("it was stored as one")
    }
}
