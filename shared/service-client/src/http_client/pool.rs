use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use service_auth::Alpn;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::dialer::{Dialer, OLDEST};
use crate::instances::{Connections, Instance};
use crate::kept::Sent;
use crate::{BoxError, ConnectError};

/// Requests to one instance at once: a quarter of the connections that it takes, so that four gateways fill it. An
/// instance answers so many within some hundred milliseconds, or has too much to do.
const MOST_REQUESTS: usize = 250;
/// Handshakes with one instance at once. It takes a hundred connections of one address whose owner has not shown who it
/// is yet, and a few callers may share one. Whoever waits gets a connection that comes back first.
const MOST_HANDSHAKES: usize = 16;
/// Shorter than the 75 seconds after which our servers close, so that a request does not meet the end of its connection.
const IDLE: Duration = Duration::from_secs(60);
/// Four times the largest head, so that bodies are read in fair pieces.
const BUFFER: usize = 64 * 1024;

/// The connections to an instance that wait for a request, of which the last one back is the first to go: what is not
/// needed grows old.
pub(super) struct Pool<B> {
    idle: Mutex<VecDeque<Idle<B>>>,
    places: Arc<Semaphore>,
    handshakes: Semaphore,
    returned: Notify,
}

/// How a request comes to a connection.
pub(super) enum Turn<'a, B> {
    /// Over one that can be used again.
    Over(Connection<B>),
    /// It may make one.
    ToConnect(SemaphorePermit<'a>),
}

/// A connection and when it was made.
pub(super) struct Connection<B> {
    sender: SendRequest<Sent<B>>,
    made: Instant,
}

struct Idle<B> {
    connection: Connection<B>,
    since: Instant,
}

/// A connection that is in use for one exchange.
pub(super) struct Lease<B> {
    connection: Connection<B>,
    instance: Arc<Instance<Pool<B>>>,
    _place: OwnedSemaphorePermit,
}

impl<B> Default for Pool<B> {
    fn default() -> Self {
        let (places, handshakes) = (Arc::new(Semaphore::new(MOST_REQUESTS)), Semaphore::new(MOST_HANDSHAKES));
        Self { idle: Mutex::default(), places, handshakes, returned: Notify::new() }
    }
}

impl<B> Pool<B> {
    /// Leave to send another request, if it can be sent now.
    pub(super) fn place_now(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Waits until another request may be sent.
    pub(super) async fn place(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Waits for a connection that can be used again, or until one may be made.
    pub(super) async fn turn(&self) -> Turn<'_, B> {
        let returned = async {
            loop {
                let mut next = pin!(self.returned.notified());
                // From here on, so that none is missed that comes back while this looks.
                next.as_mut().enable();
                match self.take() {
                    Some(connection) => return connection,
                    None => next.await,
                }
            }
        };
        tokio::select! {
            biased;
            connection = returned => Turn::Over(connection),
            handshake = self.handshakes.acquire() => {
                let handshake = handshake.expect("the semaphore is never closed");
                // One that was not ready when it came back may be now.
                self.take().map_or(Turn::ToConnect(handshake), Turn::Over)
            }
        }
    }

    /// The connection that came back last and can be used again.
    fn take(&self) -> Option<Connection<B>> {
        let mut idle = self.idle();
        while idle.back().is_some_and(|last| last.is_closed()) {
            idle.pop_back();
        }
        // One that has answered before its request was all there is not ready for another.
        let ready = idle.iter().rposition(|idle| idle.connection.sender.is_ready())?;
        if idle[ready].is_old() {
            idle.drain(..=ready);
            return None;
        }
        idle.remove(ready).map(|idle| idle.connection)
    }

    pub(super) fn give_back(&self, connection: Connection<B>) {
        if connection.sender.is_closed() || connection.made.elapsed() >= OLDEST {
            return;
        }
        let mut idle = self.idle();
        while let Some(oldest) = idle.front()
            && (idle.len() >= MOST_REQUESTS || oldest.is_closed() || oldest.is_old())
        {
            idle.pop_front();
        }
        idle.push_back(Idle { connection, since: Instant::now() });
        drop(idle);
        self.returned.notify_one();
    }

    /// Connections that have been idle since before `began` may lead nowhere, as nobody has heard anything since; new
    /// ones would show it.
    pub(super) fn give_up_since(&self, began: Instant) {
        let mut idle = self.idle();
        while idle.front().is_some_and(|oldest| oldest.since < began) {
            idle.pop_front();
        }
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle<B>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Connections for Pool<B> {
    fn forget(&self) {
        self.idle().clear();
    }

    fn is_connected(&self) -> bool {
        self.idle().iter().any(|idle| !idle.is_closed() && !idle.is_old())
    }
}

impl<B> Idle<B> {
    fn is_closed(&self) -> bool {
        self.connection.sender.is_closed()
    }

    fn is_old(&self) -> bool {
        self.since.elapsed() >= IDLE
    }
}

impl<B> Lease<B> {
    pub(super) fn new(
        connection: Connection<B>,
        instance: Arc<Instance<Pool<B>>>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self { connection, instance, _place: place }
    }

    /// The exchange is over, and the connection is there for the next.
    pub(super) fn give_back(self) {
        self.instance.connections.give_back(self.connection);
    }
}

impl<B> Lease<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn send(
        &mut self,
        request: Request<Sent<B>>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Sent<B>>>>> + use<B> {
        self.connection.sender.try_send_request(request)
    }
}

/// A new connection to the instance at `addr`.
pub(super) async fn connect<B>(dialer: &Dialer, addr: SocketAddr) -> Result<Connection<B>, ConnectError>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let io = dialer.dial(addr, Alpn::Http1).await?;
    let http1 = Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(io)).await;
    let (sender, connection) = http1.map_err(ConnectError::Http)?;
    dialer.runner().run(connection);
    Ok(Connection { sender, made: Instant::now() })
}

impl<B> fmt::Debug for Pool<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("idle", &self.idle().len()).finish_non_exhaustive()
    }
}
