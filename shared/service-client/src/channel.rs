mod answered;
mod line;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use discovery::{Endpoint, Endpoints};
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
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
use crate::kept::{Kept, Sent};
use crate::request::Call;
use crate::told::{self, Told};
use crate::waiting::{Waited, wait};
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
    instances: Instances<Line>,
}

/// A connection that ends again and again before a request gets onto it is not tried for ever.
const MOST_TRIES: usize = 3;

impl Channel {
    pub(crate) fn new(callee: Callee, dialer: Dialer, endpoints: watch::Receiver<Endpoints>) -> Self {
        let authority = Authority::try_from(dialer.service.as_str()).expect("a service's name is a host's");
        let (service, random) = (&dialer.service, dialer.random());
        let address = |endpoint: &Endpoint| endpoint.grpc;
        let reconnect = Reconnect::over(&dialer, |dialer, instance: Arc<Instance<Line>>| async move {
            let (line, patience) = (&instance.connections, Dialer::IN_BACKGROUND);
            line.get(&dialer, instance.addr, patience, Deadline::within(patience)).await.map(drop)
        });
        let instances = Instances::new(service, endpoints, address, callee.breaker(), random, reconnect);
        Self(Arc::new(Shared { callee, dialer, authority, instances }))
    }

    pub(crate) fn status(&self) -> CalleeStatus {
        self.0.callee.status(self.0.instances.status())
    }
}

impl Shared {
    async fn exchange(&self, mut request: Request<Body>) -> Result<Response<Answered>, SendError> {
        let Call { deadline, whole, trace } = Call::take(request.extensions_mut());
        if let Some(trace) = trace {
            trace.inject(request.headers_mut());
        }
        let uri = request.uri().clone();
        let path = uri.path();
        let lane = self.callee.lane(path);
        let deadline = lane.within(deadline);
        // Whoever listens to a stream begins again by itself when that ends, and so when it does not begin.
        let repeatable = if whole { Repeatable::of_method(path) } else { Repeatable::No };
        self.address(&mut request);
        let mut attempts = self.callee.begin((lane, path), deadline, repeatable).await?;
        let (head, body) = request.into_parts();
        let body = Kept::new(body, whole && attempts.may_go_on());
        let mut search = self.instances.search(&attempts.watch);
        loop {
            let request = Request::from_parts(head.clone(), body.next());
            let came = self.attempt(request, deadline, whole, &mut search, &mut attempts).await;
            if let Some(outcome) = attempts.after(came, whole && body.can_be_sent()).await {
                return outcome;
            }
        }
    }

    /// Sends it once.
    async fn attempt(
        &self,
        mut request: Request<Sent<Body>>,
        deadline: Deadline,
        whole: bool,
        search: &mut Search<'_, Line>,
        attempts: &mut Attempts<'_>,
    ) -> Came<Response<Answered>> {
        let mut tries = 1;
        loop {
            let (sending, mut taken) = match self.take(search, deadline).await {
                Ok(taken) => taken,
                Err(error) => return Came::Failure(error),
            };
            if let Err(spent) = timeout::write_grpc(request.headers_mut(), deadline) {
                return Came::Failure(spent);
            }
            attempts.sent(sending.instance.addr, deadline);
            let may_leave = || search.has_others() && attempts.may_leave();
            let waited = wait(taken.send(request), deadline, &sending, may_leave).await;
            let (addr, line) = (sending.instance.addr, &sending.instance.connections);
            match waited {
                Waited::For(Ok(response)) => {
                    let Told { verdict, refusal, is_error } = told::by_grpc(response.headers());
                    sending.answered(verdict);
                    let until = whole.then_some(deadline);
                    let answer = response.map(|body| Answered::new(body, until, taken));
                    return match refusal {
                        Some(refusal) => Came::Refusal(answer, search.after_refusal(addr, refusal)),
                        None if is_error => Came::Error(answer),
                        None => Came::Answer(answer),
                    };
                }
                Waited::For(Err(mut failed)) => {
                    line.give_up(&taken);
                    match failed.take_message() {
                        Some(unsent) if tries < MOST_TRIES => {
                            search.unsent(sending, false);
                            attempts.watch.tell(|| What::Came(Outcome::Undone));
                            (request, tries) = (unsent, tries + 1);
                        }
                        Some(_) => {
                            search.unsent(sending, true);
                            return Came::Failure(SendError::Unsent(failed.into_error()));
                        }
                        None => return self.lost(failed.into_error(), sending, search),
                    }
                }
                Waited::InVain => {
                    line.give_up(&taken);
                    search.left(sending);
                    return Came::Failure(SendError::Silent);
                }
                Waited::TooLong => {
                    if sending.instance.heard.nothing_since(sending.began()) {
                        line.give_up(&taken);
                    }
                    sending.late();
                    return Came::Failure(SendError::Late);
                }
            }
        }
    }

    fn lost<T>(&self, error: hyper::Error, sending: Sending<Line>, search: &mut Search<'_, Line>) -> Came<T> {
        let error = self.dialer.broken(error);
        search.elsewhere(sending.instance.addr, Duration::ZERO);
        sending.broken(&error);
        Came::Failure(error)
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
            let (instance, (patience, turn_by)) = (&sending.instance, search.patience(deadline));
            match instance.connections.get(&self.dialer, instance.addr, patience, turn_by).await {
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
        Box::pin(async move { Ok(channel.exchange(request).await?) })
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Channel").field(&self.0.dialer.service).finish()
    }
}
