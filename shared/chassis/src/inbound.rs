//! What every request passes on its way in, the same for HTTP and gRPC.
//!
//! From outside in, each layer where it stands for a reason:
//! 1. *request id and trace*: first, so that every answer can be found again, a refusal most of all;
//! 2. *measurement*: outside everything that can refuse, so that refusals are counted;
//! 3. *the rules of HTTP*: before anything believes a header;
//! 4. *who may*: before anything is done for the caller, and before the router tells what paths there are;
//! 5. *deadline*: before any work is done for a caller who may have given up;
//! 6. *body limit*: before the handler, which need not think of it;
//! 7. *panics*: innermost, so that what a handler breaks is answered, measured and logged like the rest;
//! 8. the router;
//! 9. *load*: within the router, which alone knows what kind of operation it is, and before the handler, so that what is
//!    refused costs next to nothing. Each operation has its own limit, since how long a login takes says nothing of how
//!    long a read should: logins that queue lose their places and reads keep theirs, unless these become slower too. All
//!    of them are under one cap. A request takes a place until the head of its answer, and none while its client is waited
//!    for. What operators ask goes last, and the admin listener has no limit at all.
//!
//! A raw handler stands in the place of 5, 6, 8 and 9: it passes requests on, and what each may take depends on where to.
//! Of the load it has the cap alone; where its requests are worked on there are limits.
//!
//! What comes over a connection without a peer's identity comes from outside: its request id, trace and deadline
//! are not believed.

mod answer;
mod body;
mod deadline;
mod failures;
mod handler;
mod load;
mod relay;
mod request_id;
mod routes;
mod rules;

use std::any::Any;
use std::future::Future;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::{HeaderMap, Request};
use hyper::body::Incoming;
use resilience::Shed;
use runtime::Env;
use service_auth::Peer;
use telemetry::{Red, TraceContext, request_span};
use tower::Service as _;
use tracing::Instrument as _;
use types::ErrorClass;

pub(crate) use self::answer::{Answer, patient};
use self::answer::{Manners, Measured};
use self::body::Arriving;
pub use self::body::{BodyError, UnreadBody};
use self::failures::Failures;
pub use self::handler::{Arrival, Handler, RawHandler};
use self::load::{Load, UnderWay, Work};
use self::relay::Relay;
pub use self::request_id::RequestId;
use self::routes::Route;
use crate::serve::Place;
use crate::{Configure, Gate, Health, Operation, Problem, Settings};

/// How a listener's callers are spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTTP: refusals are problem details.
    Http,
    /// gRPC: refusals are statuses.
    Grpc,
}

/// Whether requests are refused when there is too much to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shedding {
    /// By the load, up to [`Bounds::in_flight`].
    ByLoad,
    /// Never, because it is by these that the trouble is seen.
    Never,
}

/// How much of a request there may be, and how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The bytes of its body.
    pub body: usize,
    /// From one part of the body to the next.
    pub body_idle: Duration,
    /// For all of the body, of the time that is spent waiting for it.
    pub body_whole: Duration,
    /// Until the head of the answer, where the caller does not want it sooner.
    pub answer: Duration,
    /// Requests under way at once, of which the last tenth is the operators'.
    pub in_flight: u32,
}

impl Bounds {
    /// Beyond 4 MiB tonic refuses a message by itself.
    const BODIES: RangeInclusive<u64> = 1 << 10..=4 << 20;
    /// Fewer leave no room to find a limit in.
    const IN_FLIGHT: RangeInclusive<u32> = 10..=100_000;
    const WAITS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            // A hundred times our largest request.
            body: 1 << 20,
            // It outlasts the loss of two packets in a row.
            body_idle: Duration::from_secs(5),
            // The largest body over the slowest line that is worth serving, a megabit per second, with room.
            body_whole: Duration::from_secs(15),
            // Nobody waits longer for what is done while they wait.
            answer: Duration::from_secs(30),
            // As many as there may be connections; far more than a service of ours can work on at once.
            in_flight: 1_000,
        }
    }
}

impl Configure for Bounds {
    fn configure(settings: &mut Settings) -> Self {
        let default = Self::default();
        let body = settings.size("MAX_BODY_SIZE", default.body as u64, Self::BODIES);
        Self {
            body: usize::try_from(body).unwrap_or(default.body),
            body_idle: settings.duration("BODY_IDLE_TIMEOUT", default.body_idle, Self::WAITS),
            body_whole: settings.duration("BODY_TIMEOUT", default.body_whole, Self::WAITS),
            answer: settings.duration("REQUEST_TIMEOUT", default.answer, Self::WAITS),
            in_flight: settings.number("MAX_IN_FLIGHT", default.in_flight, Self::IN_FLIGHT),
        }
    }
}

/// What a listener does with requests.
#[derive(Debug)]
pub struct Stack {
    /// How its callers are spoken to.
    pub kind: Kind,
    /// Who may call.
    pub gate: Gate,
    /// Who answers.
    pub handler: Handler,
    /// How much of a request there may be.
    pub bounds: Bounds,
    /// Whether requests are refused when there is too much to do.
    pub shedding: Shedding,
    /// The operations of an edge API that are refused last then.
    pub operators: Vec<Operation>,
    /// Everything random or outside.
    pub env: Env,
    /// What measures the answers.
    pub red: Red,
    /// Whether the service is taking its leave, which HTTP/1 clients are told with each answer.
    pub health: Health,
}

/// The inbound stack of one listener. Clones are the same.
#[derive(Clone, Debug)]
pub struct Inbound {
    stack: Arc<Stack>,
    /// On calls, of which each path is a kind of its own and known to the gate.
    load: Option<Arc<Load>>,
    /// On what a raw handler passes on.
    relay: Option<Arc<Relay>>,
    failures: Arc<Failures>,
}

/// Who is at the other end of a connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) addr: SocketAddr,
    pub(crate) peer: Option<Peer>,
    arriving: Arriving,
}

impl Client {
    pub(crate) fn new(addr: SocketAddr, peer: Option<Peer>) -> Self {
        Self { addr, peer, arriving: Arriving::default() }
    }
}

impl Inbound {
    /// The stack, ready to answer.
    pub fn new(stack: Stack) -> Self {
        let Stack { kind, shedding, ref bounds, ref red, ref operators, .. } = stack;
        let sheds = shedding == Shedding::ByLoad;
        let load = || sheds.then(|| Load::new(bounds, red.clone(), operators.clone()));
        let (handler, load, relay) = match stack.handler {
            Handler::Routes(router) if kind == Kind::Http => {
                let limited = |router| match load() {
                    Some(load) => load.around(router),
                    None => router,
                };
                (Handler::Routes(routes::completed(router, limited)), None, None)
            }
            handler @ Handler::Routes(_) => (handler, load().map(Arc::new), None),
            handler @ Handler::Raw(_) => {
                (handler, None, sheds.then(|| Arc::new(Relay::new(bounds, red.clone()))))
            }
        };
        let failures = Arc::new(Failures::new(&stack.env.random));
        Self { stack: Arc::new(Stack { handler, ..stack }), load, relay, failures }
    }

    /// Answers a request.
    pub(crate) async fn answer(
        &self,
        client: &Client,
        place: Place<'_>,
        request: Request<Incoming>,
    ) -> Response<Answer> {
        let Stack { kind, handler, bounds, env, red, health, .. } = &*self.stack;
        let trusted = client.peer.is_some();
        let id = RequestId::of(request.headers(), trusted, &env.ids);
        let trace = trace_of(request.headers(), trusted, env);
        let span = request_span(id.as_str(), &trace);
        let measured = Measured::begin(*kind, red, &request, span.clone());
        let request = request.map(|body| UnreadBody::new(*kind, body, bounds, &client.arriving));
        let manners = Manners::towards(&request, place, health);

        let passed = self.pass(client, place, request, id.clone(), trace, measured.route());
        let outcome = passed.instrument(span.clone()).await.and_then(|answer| manners.permit(answer));
        let mut response = span.in_scope(|| answer::finished(*kind, handler, outcome, &id, &self.failures));
        manners.apply(&mut response).await;
        measured.answered(response)
    }

    async fn pass(
        &self,
        client: &Client,
        place: Place<'_>,
        request: Request<UnreadBody>,
        id: RequestId,
        trace: TraceContext,
        route: Route,
    ) -> Result<Response, Problem> {
        let stack = &*self.stack;
        if let Place::Refused(violation) = place {
            return Err(violation.problem());
        }
        rules::check(stack.kind, stack.handler.passes_on(), &request)?;
        stack.gate.admit(request.uri().path(), client.peer.as_ref())?;
        let (head, body) = request.into_parts();
        let router = match &stack.handler {
            Handler::Routes(router) => router,
            Handler::Raw(raw) => {
                let relay = self.relay.clone();
                let entered = relay.as_ref().map(|relay| relay.enter(&head, raw));
                let _under_way = entered.transpose().map_err(load::problem)?;
                let (method, uri) = (head.method.clone(), head.uri.clone());
                let arrival = Arrival { head, body, addr: client.addr, id, trace, route, relay };
                let answer = stack.contain(raw.answer(arrival));
                let (answer, calls) = service_client::watch_calls(answer).await;
                if let Some(relay) = &self.relay {
                    relay.answered(&method, &uri, calls);
                }
                return answer?;
            }
        };
        let deadline = deadline::of(stack.kind, &head.headers, client.peer.is_some(), stack.bounds.answer)?;
        let work = body.work().clone();
        let mut request = Request::from_parts(head, body.within(stack.bounds.body)?);
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(client.addr));
        if let Some(peer) = &client.peer {
            extensions.insert(peer.clone());
        }
        extensions.insert(id);
        extensions.insert(trace);
        extensions.insert(deadline);
        if stack.kind == Kind::Http {
            extensions.insert(work.clone());
            extensions.insert(route);
        }
        let under_way = UnderWay { work, deadline };
        let handled = deadline.bound(stack.contain(self.handled(router.clone(), request, &under_way.work)));
        let (handled, calls) = service_client::watch_calls(handled).await;
        let mut response = handled.map(Result::flatten).unwrap_or_else(|_elapsed| {
            let detail =
                "the deadline passed while the request was being worked on; it may have taken effect";
            Ok(Problem::new(ErrorClass::Unknown, detail).into_response())
        })?;
        if under_way.answered(&response, calls) == load::Came::WithoutRoom {
            match stack.kind {
                Kind::Http => service_client::tell_overload(response.headers_mut()),
                // No handler's status says of itself that there was too much to do.
                Kind::Grpc => response = load::problem(Shed::soon()).into_response(),
            }
        }
        if calls.failed {
            service_client::forbid_retry(response.headers_mut());
        }
        Ok(response)
    }

    async fn handled(
        &self,
        mut router: Router,
        request: axum::extract::Request,
        work: &Work,
    ) -> Result<Response, Problem> {
        if let Some(load) = &self.load {
            // Calls of one service match one route; the methods are told apart by their paths.
            load.begin(request.uri().path(), &request, work).map_err(load::problem)?;
        }
        let Ok(response) = router.call(request).await;
        Ok(response)
    }
}

impl Stack {
    /// What a handler gives, a panic of which is a problem of this request alone.
    async fn contain<T>(&self, handled: impl Future<Output = T>) -> Result<T, Problem> {
        AssertUnwindSafe(handled).catch_unwind().await.map_err(|panic| {
            self.red.panicked();
            Problem::new(ErrorClass::Internal, format!("a handler panicked: {}", message_of(&*panic)))
        })
    }
}

fn trace_of(headers: &HeaderMap, trusted: bool, env: &Env) -> TraceContext {
    let parent = if trusted { TraceContext::extract(headers) } else { None };
    parent.map_or_else(|| TraceContext::new(&env.random), |parent| parent.child(&env.random))
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
