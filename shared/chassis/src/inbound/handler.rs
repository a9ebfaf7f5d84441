//! Who answers what a listener lets through.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use http::request::Parts;
use resilience::Priority;
use telemetry::TraceContext;

use super::body::UnreadBody;
use super::relay::Relay;
use super::routes::Route;
use super::{RequestId, load};
use crate::Problem;

/// Who answers what a listener lets through.
#[derive(Clone, Debug)]
pub enum Handler {
    /// Routes, each with a handler of its own that reads requests and writes answers.
    Routes(Router),
    /// One function for all requests, which passes them on: what it answers goes out as it is.
    Raw(RawHandler),
}

impl Handler {
    /// Whether what it gets goes on to a listener like its own.
    pub(super) fn passes_on(&self) -> bool {
        matches!(self, Self::Raw(_))
    }
}

/// A function that answers every request of a listener. It bounds its time itself. Clones are the same.
#[derive(Clone)]
pub struct RawHandler {
    handle: Arc<dyn Fn(Arrival) -> Answering + Send + Sync>,
    priority: Arc<dyn Fn(&Parts) -> Priority + Send + Sync>,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;

/// A request as a raw handler gets it.
#[derive(Debug)]
pub struct Arrival {
    /// All but its body, as it came and within the rules of HTTP.
    pub head: Parts,
    /// Its body.
    pub body: UnreadBody,
    /// The other end of its connection.
    pub addr: SocketAddr,
    /// Its name.
    pub id: RequestId,
    /// The span that is measured here; what goes to a service names it as the parent.
    pub trace: TraceContext,
    pub(super) route: Route,
    pub(super) relay: Option<Arc<Relay>>,
}

impl RawHandler {
    /// The function `handle`.
    pub fn new<F>(handle: impl Fn(Arrival) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        let handle = Arc::new(move |arrival| Box::pin(handle(arrival)) as Answering);
        Self { handle, priority: Arc::new(|_| Priority::Users) }
    }

    /// The same, where not all requests are users'.
    #[must_use]
    pub fn with_priority(self, priority: impl Fn(&Parts) -> Priority + Send + Sync + 'static) -> Self {
        Self { priority: Arc::new(priority), ..self }
    }

    pub(super) async fn answer(&self, arrival: Arrival) -> Result<Response, Problem> {
        (self.handle)(arrival).await
    }

    pub(super) fn priority(&self, head: &Parts) -> Priority {
        (self.priority)(head)
    }
}

impl Arrival {
    /// Tells under which name the request is measured: one of few, whatever callers send.
    pub fn matched(&self, route: &Arc<str>) {
        self.route.named(route);
    }

    /// To be asked when nothing else speaks against passing the request on.
    ///
    /// # Errors
    /// The service that it would go to refuses more of the same than it answers.
    pub fn pass_on(&self) -> Result<(), Problem> {
        let relay = self.relay.as_ref();
        relay.map_or(Ok(()), |relay| relay.pass_on(&self.head)).map_err(load::problem)
    }
}

impl fmt::Debug for RawHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawHandler")
    }
}
