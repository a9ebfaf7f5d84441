//! A request on its way to a service, and the answer on its way back: both as they come. No more
//! is kept of them than may be sent again.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use chassis::{BodyError, Problem};
use http::Request;
use http_body::{Frame, SizeHint};
use resilience::Entered;
use runtime::Deadline;
use service_client::{HttpClient, Outbound, OwnTerms, Proxied, SendError};
use tokio::time::{Sleep, sleep};
use types::{ErrorClass, Network, ServiceName};

use crate::headers;
use crate::routes::{Route, Routes};

/// A service that requests are passed to.
#[derive(Debug)]
pub(crate) struct Upstream {
    service: Arc<ServiceName>,
    client: HttpClient<Body>,
}

/// From one part of an answer to the next. A stream that has nothing to tell says so more often.
const PAUSE: Duration = Duration::from_secs(60);

impl Upstream {
    /// One for each of the `routes`; those to the same service share its connections.
    pub(crate) fn of(routes: &Routes, outbound: &Outbound) -> Vec<Self> {
        let shared =
            |service| Self { service: Arc::new(ServiceName::clone(service)), client: outbound.http(service) };
        let services: Vec<_> = routes.services().iter().map(shared).collect();
        routes.iter().map(|route| services[route.service].on(route)).collect()
    }

    /// The same on the terms of `route`.
    fn on(&self, route: &Route) -> Self {
        let Route { timeout, attempts, at_once, keyed, .. } = *route;
        let own = OwnTerms { timeout, attempts, at_once, keyed };
        Self { service: Arc::clone(&self.service), client: self.client.on(&route.prefix, &own) }
    }

    /// What the service answers to `request`, of which it is told `deadline` for the head. What is `entered` is left when
    /// the answer has ended.
    pub(crate) async fn pass(
        &self,
        request: Request<Body>,
        deadline: Deadline,
        entered: Option<Entered<Network>>,
    ) -> Result<Response, Problem> {
        let answer = self.client.send(request, deadline).await.map_err(problem)?;
        if answer.status().is_informational() {
            let detail = "a service wants to speak another protocol, which nobody has asked for";
            return Err(Problem::new(ErrorClass::Internal, detail));
        }
        let (mut head, body) = answer.into_parts();
        headers::strip_answer(&mut head.headers);
        let flowing = Flowing { service: Arc::clone(&self.service), body, paused: None, _entered: entered };
        Ok(Response::from_parts(head, Body::new(flowing)))
    }
}

/// A request that did not come whole is its sender's mistake, and is answered as one.
fn problem(error: SendError) -> Problem {
    match BodyError::among(&error) {
        Some(error) => error.problem(),
        None => error.into(),
    }
}

/// The body of an answer, which ends when nothing of it comes for too long.
struct Flowing {
    service: Arc<ServiceName>,
    body: Proxied<Body>,
    paused: Option<Pin<Box<Sleep>>>,
    _entered: Option<Entered<Network>>,
}

impl Flowing {
    /// The client sees only that there is no more of it.
    fn broken<E: Error + Send + Sync + 'static>(&self, error: E) -> Box<dyn Error + Send + Sync> {
        tracing::warn!(service = %self.service, error = &error as &dyn Error, "an answer broke off");
        error.into()
    }
}

/// A service began an answer and did not go on with it.
#[derive(Debug, thiserror::Error)]
#[error("nothing of the answer came for {PAUSE:?}")]
struct Paused;

impl http_body::Body for Flowing {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let flowing = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut flowing.body).poll_frame(cx) {
            flowing.paused = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| flowing.broken(error))));
        }
        ready!(flowing.paused.get_or_insert_with(|| Box::pin(sleep(PAUSE))).as_mut().poll(cx));
        flowing.body.give_up();
        Poll::Ready(Some(Err(flowing.broken(Paused))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
