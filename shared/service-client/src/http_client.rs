mod pool;
mod proxied;

use std::fmt;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use discovery::{Endpoint, Endpoints};
use futures_util::TryFutureExt as _;
use futures_util::future::{BoxFuture, select_all};
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Request, Response, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use proto::Repeatable;
use runtime::Deadline;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use self::pool::{Connection, Lease, Pool, Turn};
pub use self::proxied::Proxied;
use crate::callee::{Attempts, Callee, Came, Lane, Lanes, OwnTerms};
use crate::dialer::Dialer;
use crate::instances::{Instance, Instances, Nowhere, Reconnect, Search, Sending};
use crate::outgoing::Outgoing;
use crate::told::{self, Told};
use crate::waiting::{Waited, wait, wait_for_both};
use crate::{BoxError, CalleeStatus, ConnectError, Outcome, SendError, What, timeout};

/// The edge API of a service, for whoever passes requests on to it: HTTP/1.1, a connection for each request and then
/// for the next one. Bodies stream both ways; of a request, as much is kept as it takes to send a small one again.
/// Clones share its connections.
///
/// What may have had an effect is sent again where HTTP calls its method idempotent (RFC 9110, section 9.2.2), or where the
/// request has an `Idempotency-Key` and the callee keeps those.
pub struct HttpClient<B> {
    shared: Arc<Shared<B>>,
    /// On terms of its own, if any.
    own: Option<Arc<Lanes>>,
}

type Answer<B> = Response<Proxied<B>>;

struct Shared<B> {
    callee: Callee,
    dialer: Dialer,
    host: HeaderValue,
    /// By the set of a lane.
    instances: Vec<Instances<Pool<B>>>,
    waiting: Semaphore,
}

/// A connection that ends again and again before a request gets onto it is not tried for ever.
const MOST_TRIES: usize = 3;
/// Requests that wait because every instance is full: as many as two instances take at once, so that each has its turn
/// after about one answer. More would wait longer than their callers do.
const MOST_WAITING: usize = 500;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

impl<B> HttpClient<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(crate) fn new(callee: Callee, dialer: Dialer, endpoints: &watch::Receiver<Endpoints>) -> Self {
        let service = &dialer.service;
        let host = HeaderValue::from_str(service.as_str()).expect("a service's name is a header value");
        let address = |endpoint: &Endpoint| endpoint.http;
        let reconnect = Reconnect::over(&dialer, |dialer, instance: Arc<Instance<Pool<B>>>| async move {
            let connection = pool::connect(&dialer, instance.addr);
            let connection = dialer.within(Dialer::IN_BACKGROUND, connection).await?;
            instance.connections.give_back(connection);
            Ok(())
        });
        let set = |breaker| {
            let reconnect = reconnect.clone();
            Instances::new(service, endpoints.clone(), address, breaker, dialer.random(), reconnect)
        };
        let instances = callee.breakers().into_iter().map(set).collect();
        let waiting = Semaphore::new(MOST_WAITING);
        Self { shared: Arc::new(Shared { callee, dialer, host, instances, waiting }), own: None }
    }
}

impl<B> HttpClient<B> {
    pub(crate) fn status(&self) -> Vec<CalleeStatus> {
        self.shared.callee.status(self.shared.instances.iter().map(Instances::status))
    }

    /// The same, for requests whose paths begin with `path`, on terms of their `own`.
    #[must_use]
    pub fn on(&self, path: &str, own: &OwnTerms) -> Self {
        Self { own: Some(self.shared.callee.on(path, own)), ..self.clone() }
    }
}

impl<B> HttpClient<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Sends `request` to an instance, which is told the deadline and must begin its answer by then. Dropping the
    /// future or the answer's body ends the exchange at the other end too.
    ///
    /// # Errors
    /// [`SendError`], whose class tells whether the request may have had an effect.
    pub async fn send(&self, request: Request<B>, deadline: Deadline) -> Result<Answer<B>, SendError> {
        let shared = &*self.shared;
        let uri = request.uri().clone();
        let lane = self.own.as_deref().unwrap_or(&shared.callee.lanes).of(uri.path());
        let deadline = lane.within(deadline);
        let repeatable = repeatable(&request, lane);
        let mut attempts = shared.callee.begin((lane, uri.path()), deadline, repeatable).await?;
        let outgoing = Outgoing::new(shared.addressed(request), deadline, false, attempts.may_go_on());
        let mut search = shared.instances[lane.set].search(&attempts.watch);
        let came = shared.exchange(&outgoing, &mut search, &mut attempts).await;
        attempts.settled(came)
    }
}

fn repeatable<B>(request: &Request<B>, lane: &Lane) -> Repeatable {
    match request.method() {
        method if method.is_safe() => Repeatable::WithoutEffect,
        method if method.is_idempotent() => Repeatable::Idempotent,
        _ if lane.is_keyed() && request.headers().contains_key(IDEMPOTENCY_KEY) => Repeatable::Idempotent,
        _ => Repeatable::No,
    }
}

impl<B> Shared<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// As HTTP/1.1 wants it from whoever is no proxy to the callee: the path alone, and the callee's own name. A body
    /// is announced, as hyper leaves out those of unknown length where the method seldom has one.
    fn addressed(&self, mut request: Request<B>) -> Request<B> {
        let path = request.uri_mut().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
        *request.version_mut() = Version::HTTP_11;
        let is_of_unknown_length = !request.body().is_end_stream()
            && request.body().size_hint().exact().is_none()
            && !request.headers().contains_key(CONTENT_LENGTH);
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        if is_of_unknown_length {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        request
    }

    /// Sends it, as often as it may be, until there is an outcome.
    async fn exchange(
        &self,
        outgoing: &Outgoing<B>,
        search: &mut Search<'_, Pool<B>>,
        attempts: &mut Attempts<'_>,
    ) -> Came<Answer<B>> {
        loop {
            let came = match self.attempt(outgoing, search, attempts).await {
                ControlFlow::Continue(came) => came,
                ControlFlow::Break(came) => return came,
            };
            if let Some(came) = attempts.after(came, outgoing.body.can_be_sent()).await {
                return came;
            }
        }
    }

    /// The same, for an attempt within which it goes on.
    fn exchange_again<'a>(
        &'a self,
        outgoing: &'a Outgoing<B>,
        search: &'a mut Search<'_, Pool<B>>,
        attempts: &'a mut Attempts<'_>,
    ) -> BoxFuture<'a, Came<Answer<B>>> {
        Box::pin(self.exchange(outgoing, search, attempts))
    }

    /// Sends it once, and elsewhere too if the instance says nothing; what comes of that is the end.
    async fn attempt(
        &self,
        outgoing: &Outgoing<B>,
        search: &mut Search<'_, Pool<B>>,
        attempts: &mut Attempts<'_>,
    ) -> ControlFlow<Came<Answer<B>>, Came<Answer<B>>> {
        let (mut request, mut tries, deadline) = (outgoing.next(), 1, outgoing.deadline);
        loop {
            let leased = self.lease(search, deadline).await;
            let written = timeout::write_http(request.headers_mut(), deadline);
            let (sending, mut lease) = match (leased, written) {
                (Ok(leased), Ok(())) => leased,
                (Err(error), _) | (_, Err(error)) => return ControlFlow::Continue(Came::Failure(error)),
            };
            let addr = sending.instance.addr;
            attempts.sent(addr, deadline);
            let mut answer = pin!(lease.send(request));
            let may_leave = || outgoing.body.is_sent() && search.has_well_other(addr) && attempts.may_leave();
            let waited = match wait(answer.as_mut(), deadline, &sending, may_leave).await {
                Waited::For(Err(mut failed)) => match failed.take_message() {
                    Some(unsent) if tries < MOST_TRIES => {
                        search.unsent(sending, false);
                        attempts.watch.tell(|| What::Came(Outcome::Undone));
                        (request, tries) = (unsent, tries + 1);
                        continue;
                    }
                    Some(_) => {
                        search.unsent(sending, true);
                        let unsent = SendError::Unsent(failed.into_error());
                        return ControlFlow::Continue(Came::Failure(unsent));
                    }
                    None => Waited::For(Err(failed.into_error())),
                },
                Waited::For(Ok(response)) => Waited::For(Ok(response)),
                Waited::TooLong => Waited::TooLong,
                Waited::InVain => {
                    let others_answer = search.others_answer(&sending);
                    search.elsewhere(addr);
                    attempts.left();
                    let others = self.exchange_again(outgoing, search, attempts);
                    let first = |waited| self.came(waited, sending, lease, outgoing, others_answer);
                    let answer = pin!(answer.map_err(TrySendError::into_error));
                    return ControlFlow::Break(wait_for_both(answer, others, deadline, first).await);
                }
            };
            return ControlFlow::Continue(
                search.after(addr, self.came(waited, sending, lease, outgoing, true)),
            );
        }
    }

    /// What came of waiting for an answer, which is noted of the instance.
    fn came(
        &self,
        waited: Waited<hyper::Result<Response<Incoming>>>,
        sending: Sending<Pool<B>>,
        lease: Lease<B>,
        outgoing: &Outgoing<B>,
        others_answer: bool,
    ) -> Came<Answer<B>> {
        match waited {
            Waited::For(Ok(response)) => {
                let Told { verdict, refusal, is_error } =
                    told::by_http(response.status(), response.headers(), self.dialer.clock());
                let answering = sending.answered(verdict);
                let answer = response.map(|body| Proxied::new(body, lease, answering));
                Came::answer(answer, refusal, is_error)
            }
            Waited::For(Err(error)) => {
                let error = self.dialer.broken(error);
                sending.broken(&error);
                Came::Failure(error)
            }
            Waited::InVain => {
                sending.left(others_answer);
                Came::Failure(SendError::Silent)
            }
            Waited::TooLong => {
                if sending.is_silent() {
                    sending.instance.connections.give_up_since(sending.began());
                }
                sending.late(outgoing.body.is_sent());
                Came::Failure(SendError::Late)
            }
        }
    }

    /// A connection to an instance, for one exchange.
    async fn lease(
        &self,
        search: &mut Search<'_, Pool<B>>,
        deadline: Deadline,
    ) -> Result<(Sending<Pool<B>>, Lease<B>), SendError> {
        loop {
            let (mut sending, place) = self.place(search, deadline).await?;
            // Without time for an answer no connection is taken from those who have it.
            timeout::millis(deadline)?;
            match self.connection(&sending.instance, search.patience(deadline)).await {
                Ok(connection) => {
                    sending.connected();
                    if sending.may_go() {
                        let lease = Lease::new(connection, Arc::clone(&sending.instance), place);
                        return Ok((sending, lease));
                    }
                }
                Err(_) if deadline.has_passed() => return Err(SendError::Spent),
                Err(error) => search.unreached(sending, Arc::new(error)),
            }
        }
    }

    /// The next instance that has a place, now or as the first of all.
    async fn place(
        &self,
        search: &Search<'_, Pool<B>>,
        deadline: Deadline,
    ) -> Result<(Sending<Pool<B>>, OwnedSemaphorePermit), SendError> {
        loop {
            let full = match search.next_with(Pool::place_now) {
                Ok(found) => return Ok(found),
                Err(Nowhere::Error(error)) => return Err(error),
                Err(Nowhere::Full(full)) => full,
            };
            let _waiting =
                self.waiting.try_acquire().map_err(|_full| SendError::Full(self.dialer.service.clone()))?;
            let first = select_all(full.iter().map(|instance| Box::pin(instance.connections.place())));
            let (place, freed, _) = deadline.bound(first).await.or(Err(SendError::Spent))?;
            // Its breaker may have opened meanwhile.
            if let Some(sending) = search.enter(&full[freed]) {
                return Ok((sending, place));
            }
        }
    }

    /// A connection to `instance`, which is new unless one comes back before there could be.
    async fn connection(
        &self,
        instance: &Instance<Pool<B>>,
        (patience, turn_by): (Duration, Deadline),
    ) -> Result<Connection<B>, ConnectError> {
        match turn_by.bound(instance.connections.turn()).await.or(Err(ConnectError::Busy))? {
            Turn::Over(connection) => Ok(connection),
            Turn::ToConnect(_handshake) => {
                let connection = pool::connect(&self.dialer, instance.addr);
                self.dialer.within(patience, connection).await
            }
        }
    }
}

impl<B> Clone for HttpClient<B> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), own: self.own.clone() }
    }
}

impl<B> fmt::Debug for HttpClient<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpClient").field(&self.shared.dialer.service).finish()
    }
}
