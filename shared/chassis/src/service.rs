//! A service that listens: it runs, and it takes its leave in order.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use discovery::{Endpoint, Registration};
use futures_util::FutureExt as _;
use runtime::{Deadline, Fault, StillRunning};
use telemetry::service_span;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::Platform;
use crate::assembly::{Background, Bound, Closing};
use crate::drain::Stage;

/// A service that has its ports and has yet to be run.
pub struct Service {
    pub(crate) platform: Platform,
    pub(crate) http: Bound,
    pub(crate) grpc: Bound,
    pub(crate) admin: Bound,
    pub(crate) background: Vec<Background>,
    pub(crate) closing: Vec<Closing>,
}

/// The addresses a service really listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addrs {
    /// The edge API.
    pub http: SocketAddr,
    /// The internal API.
    pub grpc: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
}

/// How a service ended other than in order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// A task panicked, and the service ended because of it.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The time to drain was over before everything had ended.
    #[error("{within:?} were not enough to drain: {} cut off", .what.join(", "))]
    Cut {
        /// The time there was.
        within: Duration,
        /// What was cut off.
        what: Vec<String>,
    },
}

impl Service {
    /// The addresses it really listens on.
    pub fn addrs(&self) -> Addrs {
        Addrs { http: self.http.addr, grpc: self.grpc.addr, admin: self.admin.addr }
    }

    /// Serves, and makes itself known, until `shutdown` or until a task panics. Then it drains: it says that it is
    /// not ready and is known no more, stops accepting, finishes what is in flight, ends its background tasks and closes what it has open. Health is
    /// answered to the last.
    ///
    /// # Errors
    /// [`RunError`]: a fault, or the drain took longer than it may and something was cut off.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let span = service_span(&self.platform.service);
        self.serve(shutdown).instrument(span).await
    }

    async fn serve(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let Addrs { http, grpc, admin } = self.addrs();
        let platform = self.platform.clone();
        let running = Running::start(self);
        platform.health.serving();
        let endpoint = Endpoint { http, grpc };
        let registration = platform.discovery.register_checked(&platform.service, endpoint, Some(admin));
        tracing::info!(%http, %grpc, %admin, "serving");
        tokio::select! {
            () = shutdown.cancelled() => tracing::info!("draining"),
            // It is told where it is found; the end of this function returns it.
            _ = platform.env.tasks.fault() => {}
        }
        let cut = running.drain(&platform, registration).await;
        if let Some(fault) = platform.env.tasks.fault().now_or_never() {
            return Err(fault.into());
        }
        if cut.is_empty() {
            tracing::info!("drained");
            return Ok(());
        }
        Err(RunError::Cut { within: platform.listeners.drain_timeout, what: cut })
    }
}

/// A service that has been started, in the order in which it ends.
struct Running {
    apis: Stage,
    background: Stage,
    closing: Vec<Closing>,
    admin: Stage,
    /// Connections that did not finish in time.
    cut: Arc<AtomicUsize>,
}

impl Running {
    fn start(service: Service) -> Self {
        let Service { platform, http, grpc, admin, background, closing } = service;
        let stage = |name| Stage::new(name, &platform.env.tasks);
        let mut running = Self {
            apis: stage("listeners"),
            background: stage("background tasks"),
            closing,
            admin: stage("admin listener"),
            cut: Arc::default(),
        };
        for Background { name, start } in background {
            running.background.start(name, start);
        }
        let patience = Shares::of(&platform).requests;
        serve(&mut running.apis, http, &platform, patience, &running.cut);
        serve(&mut running.apis, grpc, &platform, patience, &running.cut);
        // Whoever still asks for health at the very end is not waited for.
        serve(&mut running.admin, admin, &platform, Duration::ZERO, &Arc::default());
        running
    }

    /// Ends everything in order and tells what had to be cut off.
    async fn drain(self, platform: &Platform, registration: Registration) -> Vec<String> {
        let shares = Shares::of(platform);
        let within = |share| Deadline::within(platform.listeners.drain_delay + share);
        let (requests, background) = (within(shares.whole), within(shares.background));
        let (closing, whole) = (within(shares.closing), within(shares.whole));
        let mut cut = Vec::new();
        platform.health.draining();
        let gone = registration.withdraw(within(shares.withdrawal));
        let (gone, ()) = tokio::join!(gone, tokio::time::sleep(platform.listeners.drain_delay));
        if let Err(error) = gone {
            tracing::warn!(%error, "others may still call");
        }
        // The listeners keep to their share by themselves, and count whom they cut.
        cut.extend(self.apis.end(requests).await);
        cut.extend(counted("connections", self.cut.load(Ordering::Relaxed)));
        cut.extend(self.background.end(background).await);
        for Closing { name, work } in self.closing {
            cut.extend(closing.bound(work).await.is_err().then(|| name.to_owned()));
        }
        // Nobody is left to ask others for anything.
        platform.outbound().close();
        platform.discovery.close();
        cut.extend(self.admin.end(whole).await);
        if let Err(StillRunning(left)) = platform.env.tasks.join(whole.remaining()).await {
            cut.extend(left.into_iter().filter_map(|(name, count)| counted(name, count)));
        }
        cut
    }
}

/// By when, after the delay, each part of the end must be over. What comes late, closing the database above
/// all, has a share of its own, however long the requests take.
struct Shares {
    withdrawal: Duration,
    requests: Duration,
    background: Duration,
    closing: Duration,
    whole: Duration,
}

impl Shares {
    fn of(platform: &Platform) -> Self {
        let whole = platform.listeners.drain_timeout.saturating_sub(platform.listeners.drain_delay);
        let tenth = whole / 10;
        Self { withdrawal: tenth, requests: tenth * 7, background: tenth * 8, closing: tenth * 9, whole }
    }
}

fn serve(stage: &mut Stage, bound: Bound, platform: &Platform, drain: Duration, cut: &Arc<AtomicUsize>) {
    let (Platform { env, metrics, .. }, cut) = (platform.clone(), Arc::clone(cut));
    let server = bound.server;
    stage.start(server.name, |stop| async move {
        let drained = server.run(&env, &metrics, stop, drain).await;
        cut.fetch_add(drained.cut, Ordering::Relaxed);
    });
}

fn counted(what: &str, count: usize) -> Option<String> {
    (count > 0).then(|| format!("{what} ({count})"))
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Service").field(&self.platform.service).field(&self.addrs()).finish()
    }
}
