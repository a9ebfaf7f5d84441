mod pool;
mod proxied;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use discovery::Endpoints;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri, Version};
use http_body::Body;
use runtime::Deadline;
use tokio::sync::watch;
use tokio::time::Instant;

use self::pool::{Lease, Pool};
pub use self::proxied::Proxied;
use crate::dialer::Dialer;
use crate::instances::Instances;
use crate::{SendError, timeout};

/// The edge API of a service, for whoever passes requests on to it: HTTP/1.1, a connection for each request and then
/// for the next one. Bodies stream both ways. Clones share its connections.
pub struct HttpClient<B>(Arc<Shared<B>>);

struct Shared<B> {
    dialer: Dialer,
    host: HeaderValue,
    instances: Instances<Pool<B>>,
}

/// A connection that ends again and again before a request gets onto it is not tried for ever.
const MOST_TRIES: usize = 3;

impl<B> HttpClient<B> {
    pub(crate) fn new(dialer: Dialer, endpoints: watch::Receiver<Endpoints>) -> Self {
        let host =
            HeaderValue::from_str(dialer.service.as_str()).expect("a service's name is a header value");
        let instances = Instances::new(&dialer.service, endpoints, |endpoint| endpoint.http);
        Self(Arc::new(Shared { dialer, host, instances }))
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
                Ok(Ok(response)) => return Ok(response.map(|body| Proxied::new(body, lease))),
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
    /// As HTTP/1.1 wants it from whoever is no proxy to the callee: the path alone, and the callee's own name.
    fn addressed(&self, mut request: Request<B>) -> Request<B> {
        let path = request.uri_mut().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
        *request.version_mut() = Version::HTTP_11;
        request.headers_mut().insert(HOST, self.host.clone());
        request
    }

    /// A connection to an instance, for one exchange.
    async fn lease(&self, deadline: Deadline) -> Result<Lease<B>, SendError> {
        let mut search = self.instances.search();
        loop {
            let instance = search.next()?;
            let place = deadline.bound(instance.connections.place()).await.or(Err(SendError::Spent))?;
            if let Some(connection) = instance.connections.take() {
                return Ok(Lease::new(connection, instance, place));
            }
            let connection = instance.connections.get(&self.dialer, instance.addr);
            match self.dialer.in_time(deadline, connection).await {
                Ok(connection) => {
                    instance.reached();
                    return Ok(Lease::new(connection, instance, place));
                }
                Err(_) if deadline.has_passed() => return Err(SendError::Spent),
                Err(error) => search.failed(&instance, Arc::new(error)),
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
