mod pool;
mod proxied;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use discovery::Endpoints;
use futures_util::future::select_all;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, Uri, Version};
use http_body::Body;
use runtime::Deadline;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use self::pool::{Connection, Lease, Pool, Turn};
pub use self::proxied::Proxied;
use crate::dialer::Dialer;
use crate::instances::{Instance, Instances, Search};
use crate::{ConnectError, SendError, timeout};

/// The edge API of a service, for whoever passes requests on to it: HTTP/1.1, a connection for each request and then
/// for the next one. Bodies stream both ways. Clones share its connections.
pub struct HttpClient<B>(Arc<Shared<B>>);

struct Shared<B> {
    dialer: Dialer,
    host: HeaderValue,
    instances: Instances<Pool<B>>,
    waiting: Semaphore,
}

/// A connection that ends again and again before a request gets onto it is not tried for ever.
const MOST_TRIES: usize = 3;
/// Requests that wait because every instance is full: as many as one instance takes at once, so that each has its turn
/// after about one answer. More would wait longer than their callers do.
const MOST_WAITING: usize = 500;

impl<B> HttpClient<B> {
    pub(crate) fn new(dialer: Dialer, endpoints: watch::Receiver<Endpoints>) -> Self {
        let host =
            HeaderValue::from_str(dialer.service.as_str()).expect("a service's name is a header value");
        let instances = Instances::new(&dialer.service, endpoints, |endpoint| endpoint.http);
        Self(Arc::new(Shared { dialer, host, instances, waiting: Semaphore::new(MOST_WAITING) }))
    }
}

impl<B> HttpClient<B>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Sends `request` to an instance, which is told the deadline and must begin its answer by then. Dropping the
    /// future or the answer's body ends the exchange at the other end too.
    ///
    /// # Errors
    /// [`SendError`], whose class tells whether the request may have had an effect.
    pub async fn send(
        &self,
        request: Request<B>,
        deadline: Deadline,
    ) -> Result<Response<Proxied<B>>, SendError> {
        let mut request = self.0.addressed(request);
        let mut tries = 1;
        loop {
            let mut lease = self.0.lease(deadline).await?;
            timeout::write_http(request.headers_mut(), deadline)?;
            let began = Instant::now();
            match deadline.bound(lease.send(request)).await {
                Ok(Ok(response)) => {
                    lease.heard();
                    return Ok(response.map(|body| Proxied::new(body, lease)));
                }
                Ok(Err(mut failed)) => match failed.take_message() {
                    Some(unsent) if tries < MOST_TRIES => (request, tries) = (unsent, tries + 1),
                    Some(_) => return Err(SendError::Unsent(failed.into_error())),
                    None => return Err(self.0.dialer.broken(failed.into_error())),
                },
                Err(_elapsed) => {
                    lease.doubt(began);
                    return Err(SendError::Late);
                }
            }
        }
    }
}

impl<B> Shared<B>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
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

    /// A connection to an instance, for one exchange.
    async fn lease(&self, deadline: Deadline) -> Result<Lease<B>, SendError> {
        let mut search = self.instances.search();
        loop {
            let (instance, place) = self.place(&search, deadline).await?;
            // Without time for an answer no connection is taken from those who have it.
            timeout::millis(deadline)?;
            match self.connection(&instance, deadline, search.turn_by(deadline)).await {
                Ok(connection) => return Ok(Lease::new(connection, instance, place)),
                Err(_) if deadline.has_passed() => return Err(SendError::Spent),
                Err(error) => search.failed(&instance, Arc::new(error)),
            }
        }
    }

    /// The next instance that has a place, now or as the first of all.
    async fn place(
        &self,
        search: &Search<'_, Pool<B>>,
        deadline: Deadline,
    ) -> Result<(Arc<Instance<Pool<B>>>, OwnedSemaphorePermit), SendError> {
        let full = match search.next_with(Pool::place_now) {
            Ok(found) => return Ok(found),
            Err(full) if full.is_empty() => return Err(search.nobody()),
            Err(full) => full,
        };
        let _waiting =
            self.waiting.try_acquire().map_err(|_full| SendError::Full(self.dialer.service.clone()))?;
        let first = select_all(full.iter().map(|instance| Box::pin(instance.connections.place())));
        let (place, freed, _) = deadline.bound(first).await.or(Err(SendError::Spent))?;
        Ok((Arc::clone(&full[freed]), place))
    }

    /// A connection to `instance`, which is new unless one comes back before there could be.
    async fn connection(
        &self,
        instance: &Instance<Pool<B>>,
        deadline: Deadline,
        turn_by: Deadline,
    ) -> Result<Connection<B>, ConnectError> {
        match turn_by.bound(instance.connections.turn()).await.or(Err(ConnectError::Busy))? {
            Turn::Over(connection) => Ok(connection),
            Turn::ToConnect(_handshake) => {
                let connection = pool::connect(&self.dialer, instance.addr);
                let connection = self.dialer.in_time(deadline, connection).await?;
                instance.reached();
                Ok(connection)
            }
        }
    }
}

impl<B> Clone for HttpClient<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B> fmt::Debug for HttpClient<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpClient").field(&self.0.dialer.service).finish()
    }
}
