mod answered;
mod line;

use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use discovery::{Endpoint, Endpoints};
use futures_util::TryFutureExt as _;
use futures_util::future::BoxFuture;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use proto::Repeatable;
use runtime::Deadline;
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

pub use self::answered::Answered;
use self::line::{Line, Taken};
use crate::callee::{Attempts, Callee, Came};
use crate::dialer::Dialer;
use crate::instances::{Instance, Instances, Reconnect, Search, Sending};
use crate::outgoing::Outgoing;
use crate::request::Call;
use crate::told::{self, Told};
use crate::waiting::{Waited, wait, wait_for_both};
use crate::{CalleeStatus, Outcome, SendError, What, timeout};

/// The internal API of a service, for the clients that tonic makes: `UserServiceClient::new(channel)`. Clones share
/// its connections.
///
/// Requests are made by [`request`](crate::request) and [`streaming`](crate::streaming), which say how long an answer
/// is worth having. Failures are statuses that carry their class, as the callee's own do.
#[derive(Clone)]
pub struct Channel(Arc<Shared>);

struct Shared {
    callee: Callee,
    dialer: Dialer,
    authority: Authority,
    /// By the set of a lane.
    instances: Vec<Instances<Line>>,
}

/// A connection that ends again and again before a request gets onto it is not tried for ever.
const MOST_TRIES: usize = 3;

impl Channel {
    pub(crate) fn new(callee: Callee, dialer: Dialer, endpoints: &watch::Receiver<Endpoints>) -> Self {
        let authority = Authority::try_from(dialer.service.as_str()).expect("a service's name is a host's");
        let (service, random) = (&dialer.service, dialer.random());
        let address = |endpoint: &Endpoint| endpoint.grpc;
        let reconnect = Reconnect::over(&dialer, |dialer, instance: Arc<Instance<Line>>| async move {
            let (line, patience) = (&instance.connections, Dialer::IN_BACKGROUND);
            let patience = || (patience, Deadline::within(patience));
            line.get(&dialer, instance.addr, patience).await.map(drop)
        });
        let set =
            |breaker| Instances::new(service, endpoints.clone(), address, breaker, random, reconnect.clone());
        let instances = callee.breakers().into_iter().map(set).collect();
        Self(Arc::new(Shared { callee, dialer, authority, instances }))
    }

    pub(crate) fn status(&self) -> Vec<CalleeStatus> {
        self.0.callee.status(self.0.instances.iter().map(Instances::status))
    }
}

impl Shared {
    async fn call(&self, mut request: Request<Body>) -> Result<Response<Answered>, SendError> {
        let Call { deadline, whole, trace } = Call::take(request.extensions_mut());
        if let Some(trace) = trace {
            trace.inject(request.headers_mut());
        }
        let uri = request.uri().clone();
        let path = uri.path();
        let lane = self.callee.lanes.of(path);
        let deadline = lane.within(deadline);
        // Whoever listens to a stream begins again by itself when that ends, and so when it does not begin.
        let repeatable = if whole { Repeatable::of_method(path) } else { Repeatable::No };
        self.address(&mut request);
        let mut attempts = self.callee.begin((lane, path), deadline, repeatable).await?;
        let outgoing = Outgoing::new(request, deadline, whole, whole && attempts.may_go_on());
        let mut search = self.instances[lane.set].search(&attempts.watch);
        let came = self.exchange(&outgoing, &mut search, &mut attempts).await;
        attempts.settled(came)
    }

    /// Sends it, as often as it may be, until there is an outcome.
    async fn exchange(
        &self,
        outgoing: &Outgoing<Body>,
        search: &mut Search<'_, Line>,
        attempts: &mut Attempts<'_>,
    ) -> Came<Response<Answered>> {
        loop {
            let came = match self.attempt(outgoing, search, attempts).await {
                ControlFlow::Continue(came) => came,
                ControlFlow::Break(came) => return came,
            };
            let can_be_sent = outgoing.whole && outgoing.body.can_be_sent();
            if let Some(came) = attempts.after(came, can_be_sent).await {
                return came;
            }
        }
    }

    /// The same, for an attempt within which it goes on.
    fn exchange_again<'a>(
        &'a self,
        outgoing: &'a Outgoing<Body>,
        search: &'a mut Search<'_, Line>,
        attempts: &'a mut Attempts<'_>,
    ) -> BoxFuture<'a, Came<Response<Answered>>> {
        Box::pin(self.exchange(outgoing, search, attempts))
    }

    /// Sends it once, and elsewhere too if the instance says nothing; what comes of that is the end.
    async fn attempt(
        &self,
        outgoing: &Outgoing<Body>,
        search: &mut Search<'_, Line>,
        attempts: &mut Attempts<'_>,
    ) -> ControlFlow<Came<Response<Answered>>, Came<Response<Answered>>> {
        let (mut request, mut tries, deadline) = (outgoing.next(), 1, outgoing.deadline);
        loop {
            let taken = self.take(search, deadline).await;
            let written = timeout::write_grpc(request.headers_mut(), deadline);
            let (sending, mut taken) = match (taken, written) {
                (Ok(taken), Ok(())) => taken,
                (Err(error), _) | (_, Err(error)) => return ControlFlow::Continue(Came::Failure(error)),
            };
            let addr = sending.instance.addr;
            attempts.sent(addr, deadline);
            let mut answer = pin!(taken.send(request));
            let may_leave = || outgoing.body.is_sent() && search.has_well_other(addr) && attempts.may_leave();
            let waited = match wait(answer.as_mut(), deadline, &sending, may_leave).await {
                Waited::For(Err(mut failed)) => match failed.take_message() {
                    Some(unsent) if tries < MOST_TRIES => {
                        sending.instance.connections.give_up(&taken);
                        search.unsent(sending, false);
                        attempts.watch.tell(|| What::Came(Outcome::Undone));
                        (request, tries) = (unsent, tries + 1);
                        continue;
                    }
                    Some(_) => {
                        sending.instance.connections.give_up(&taken);
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
                    sending.instance.connections.give_up(&taken);
                    search.elsewhere(addr);
                    attempts.left();
                    let others = self.exchange_again(outgoing, search, attempts);
                    let first = |waited| self.came(waited, sending, taken, outgoing, others_answer);
                    let answer = pin!(answer.map_err(TrySendError::into_error));
                    return ControlFlow::Break(wait_for_both(answer, others, deadline, first).await);
                }
            };
            return ControlFlow::Continue(
                search.after(addr, self.came(waited, sending, taken, outgoing, true)),
            );
        }
    }

    /// What came of waiting for an answer, which is noted of the instance.
    fn came(
        &self,
        waited: Waited<hyper::Result<Response<Incoming>>>,
        sending: Sending<Line>,
        taken: Taken,
        outgoing: &Outgoing<Body>,
        others_answer: bool,
    ) -> Came<Response<Answered>> {
        match waited {
            Waited::For(Ok(response)) => {
                let Told { verdict, refusal, is_error } =
                    told::by_grpc(response.status(), response.headers());
                let answering = sending.answered(verdict);
                let until = outgoing.whole.then_some(outgoing.deadline);
                let answer = response.map(|body| Answered::new(body, until, taken, answering));
                Came::answer(answer, refusal, is_error)
            }
            Waited::For(Err(error)) => {
                sending.instance.connections.give_up(&taken);
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
                    sending.instance.connections.give_up(&taken);
                }
                sending.late(outgoing.body.is_sent());
                Came::Failure(SendError::Late)
            }
        }
    }

    /// HTTP/2 wants the whole address, of which tonic's clients know the path.
    fn address(&self, request: &mut Request<Body>) {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        (parts.scheme, parts.authority) = (Some(Scheme::HTTPS), Some(self.authority.clone()));
        *request.uri_mut() = Uri::from_parts(parts).expect("tonic gives a path, the rest is given here");
    }

    /// A place on a connection to an instance.
    async fn take(
        &self,
        search: &mut Search<'_, Line>,
        deadline: Deadline,
    ) -> Result<(Sending<Line>, Taken), SendError> {
        loop {
            let mut sending = search.next()?;
            let instance = &sending.instance;
            if let Some(taken) = instance.connections.free() {
                sending.connected_before();
                return Ok((sending, taken));
            }
            let patience = || search.patience(deadline);
            match instance.connections.get(&self.dialer, instance.addr, patience).await {
                Ok(open) => {
                    let taken = deadline.bound(open.take()).await.or(Err(SendError::Spent))?;
                    sending.connected();
                    if sending.may_go() {
                        return Ok((sending, taken));
                    }
                }
                Err(_) if deadline.has_passed() => return Err(SendError::Spent),
                Err(error) => search.unreached(sending, error),
            }
        }
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Answered>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answered>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let channel = Arc::clone(&self.0);
        Box::pin(async move { Ok(channel.call(request).await?) })
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Channel").field(&self.0.dialer.service).finish()
    }
}
