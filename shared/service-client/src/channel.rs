mod answered;
mod line;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use discovery::Endpoints;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use runtime::Deadline;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

pub use self::answered::Answered;
use self::line::{Line, Taken};
use crate::dialer::Dialer;
use crate::instances::{Instance, Instances};
use crate::request::Call;
use crate::{SendError, timeout};

/// The internal API of a service, for the clients that tonic makes: `UserServiceClient::new(channel)`. Clones share
/// its connections.
///
/// Requests are made by [`request`](crate::request) and [`streaming`](crate::streaming), which say how long an answer
/// is worth having. Failures are statuses that carry their class, as the callee's own do.
#[derive(Clone)]
pub struct Channel(Arc<Shared>);

struct Shared {
    dialer: Dialer,
    authority: Authority,
    instances: Instances<Line>,
}

/// A connection that ends again and again before a request gets onto it is not tried for ever.
const MOST_TRIES: usize = 3;

impl Channel {
    pub(crate) fn new(dialer: Dialer, endpoints: watch::Receiver<Endpoints>) -> Self {
        let authority = Authority::try_from(dialer.service.as_str()).expect("a service's name is a host's");
        let instances = Instances::new(&dialer.service, endpoints, |endpoint| endpoint.grpc);
        Self(Arc::new(Shared { dialer, authority, instances }))
    }
}

impl Shared {
    async fn exchange(&self, mut request: Request<Body>) -> Result<Response<Answered>, SendError> {
        let Call { deadline, whole, trace } = Call::take(request.extensions_mut());
        if let Some(trace) = trace {
            trace.inject(request.headers_mut());
        }
        self.address(&mut request);
        let mut tries = 1;
        loop {
            let (instance, mut taken) = self.take(deadline).await?;
            timeout::write_grpc(request.headers_mut(), deadline)?;
            let began = Instant::now();
            let answer = deadline.bound(taken.send(request)).await;
            let line = &instance.connections;
            match answer {
                Ok(Ok(response)) => {
                    taken.heard();
                    let until = whole.then_some(deadline);
                    return Ok(response.map(|body| Answered::new(body, until, taken)));
                }
                Ok(Err(mut failed)) => {
                    line.forget(&taken);
                    match failed.take_message() {
                        Some(unsent) if tries < MOST_TRIES => (request, tries) = (unsent, tries + 1),
                        Some(_) => return Err(SendError::Unsent(failed.into_error())),
                        None => return Err(self.dialer.broken(failed.into_error())),
                    }
                }
                Err(_elapsed) => {
                    line.doubt(&taken, began);
                    return Err(SendError::Late);
                }
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
    async fn take(&self, deadline: Deadline) -> Result<(Arc<Instance<Line>>, Taken), SendError> {
        let mut search = self.instances.search();
        loop {
            let instance = search.next()?;
            let turn_by = search.turn_by(deadline);
            match instance.connections.get(&self.dialer, instance.addr, deadline, turn_by).await {
                Ok(open) => {
                    instance.reached();
                    let taken = deadline.bound(open.take()).await.or(Err(SendError::Spent))?;
                    return Ok((instance, taken));
                }
                Err(_) if deadline.has_passed() => return Err(SendError::Spent),
                Err(error) => search.failed(&instance, error),
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
