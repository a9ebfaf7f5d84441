use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use runtime::Deadline;
use service_auth::Alpn;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tonic::body::Body;

use crate::ConnectError;
use crate::dialer::{Dialer, OLDEST};
use crate::instances::Connections;
use crate::kept::Sent;

/// The one connection to an instance, over which all its streams go. It is made when it is needed.
#[derive(Debug, Default)]
pub(super) struct Line {
    state: Mutex<State>,
    /// Held by the one caller that connects while the others wait for it.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    open: Option<Arc<Open>>,
    /// How often it could not be connected, and why the last time.
    failures: u64,
    failure: Option<Arc<ConnectError>>,
}

/// A connection in use.
#[derive(Debug)]
pub(super) struct Open {
    sender: SendRequest<Sent<Body>>,
    places: Arc<Semaphore>,
    made: Instant,
}

/// A place on a connection, for one stream.
#[derive(Debug)]
pub(super) struct Taken {
    open: Arc<Open>,
    _place: OwnedSemaphorePermit,
}

/// Below the 256 that our servers take, so that streams wait here, in their turn and bounded by their deadlines, and
/// not inside the connection.
const MOST_STREAMS: usize = 200;
/// An answer of a megabyte comes without a pause.
const WINDOW: u32 = 1 << 20;
/// A host that is gone without a word, or a process that hangs, is noticed after both. A process that is short of time
/// answers within seconds.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(3);

impl Line {
    /// The connection, made by whoever comes first within its patience. If that fails, those who have waited for their turn need
    /// not try it again.
    pub(super) async fn get(
        &self,
        dialer: &Dialer,
        addr: SocketAddr,
        patience: impl FnOnce() -> (Duration, Deadline),
    ) -> Result<Arc<Open>, Arc<ConnectError>> {
        let failures = match self.usable() {
            Ok(open) => return Ok(open),
            Err(failures) => failures,
        };
        let (patience, turn_by) = patience();
        let connecting = turn_by.bound(self.connecting.lock()).await;
        let _connecting = connecting.or(Err(ConnectError::Busy)).map_err(Arc::new)?;
        match self.usable() {
            Ok(open) => return Ok(open),
            Err(now) if now == failures => {}
            Err(_) => match self.failure() {
                // What was too long for somebody in a hurry need not be so for this one.
                failure if failure.came_before(patience) => {}
                // One handshake has failed, whoever has waited for it.
                failure => return Err(Arc::new(ConnectError::Theirs(failure))),
            },
        }
        // What it keeps meanwhile would otherwise be moved with every call.
        let connecting = Box::pin(connect(dialer, addr));
        let connected = dialer.within(patience, connecting).await.map(Arc::new).map_err(Arc::new);
        let mut state = self.state();
        match &connected {
            Ok(open) => state.open = Some(Arc::clone(open)),
            Err(error) => (state.failures, state.failure) = (state.failures + 1, Some(Arc::clone(error))),
        }
        connected
    }

    /// Has the next request make another connection than the one of `taken`.
    pub(super) fn give_up(&self, taken: &Taken) {
        let mut state = self.state();
        if state.open.as_ref().is_some_and(|open| Arc::ptr_eq(open, &taken.open)) {
            state.open = None;
        }
    }

    /// The connection if it can be used, or else how often it could not be made.
    /// A place on the connection, if there is one and none of it has to be waited for.
    pub(super) fn free(&self) -> Option<Taken> {
        let open = self.usable().ok()?;
        let place = Arc::clone(&open.places).try_acquire_owned().ok()?;
        Some(Taken { open, _place: place })
    }

    fn usable(&self) -> Result<Arc<Open>, u64> {
        let state = self.state();
        match &state.open {
            Some(open) if open.is_usable() => Ok(Arc::clone(open)),
            _ => Err(state.failures),
        }
    }

    fn failure(&self) -> Arc<ConnectError> {
        self.state().failure.clone().expect("what failed has a reason")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections for Line {
    fn forget(&self) {
        self.state().open = None;
    }

    fn is_connected(&self) -> bool {
        self.usable().is_ok()
    }
}

impl Open {
    /// Waits for a place.
    pub(super) async fn take(self: Arc<Self>) -> Taken {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
        Taken { open: self, _place: place }
    }

    fn is_usable(&self) -> bool {
        !self.sender.is_closed() && self.made.elapsed() < OLDEST
    }
}

impl Taken {
    pub(super) fn send(
        &mut self,
        request: Request<Sent<Body>>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Sent<Body>>>>> + use<> {
        self.open.sender.clone().try_send_request(request)
    }
}

async fn connect(dialer: &Dialer, addr: SocketAddr) -> Result<Open, ConnectError> {
    let io = dialer.dial(addr, Alpn::H2).await?;
    let runner = dialer.runner();
    let mut http2 = Builder::new(runner.clone());
    http2
        .timer(TokioTimer::new())
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    let (sender, connection) = http2.handshake(TokioIo::new(io)).await.map_err(ConnectError::Http)?;
    runner.run(connection);
    let places = Arc::new(Semaphore::new(MOST_STREAMS));
    Ok(Open { sender, places, made: Instant::now() })
}
