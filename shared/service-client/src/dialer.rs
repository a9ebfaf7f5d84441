use std::error::Error as _;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use hyper::rt::Executor;
use runtime::{Clock, Deadline, Env, Io, Random};
use service_auth::{Alpn, Identity, SpiffeId, TlsError, TrustDomain};
use tokio_util::sync::CancellationToken;
use types::{Classify, ErrorClass, ServiceName};

use crate::SendError;
use crate::waiting::has_stood_still;

/// Past this age a connection takes no more requests: it keeps the certificates it was made with, and our servers end
/// it after 30 minutes, which no request should meet.
pub(crate) const OLDEST: Duration = Duration::from_secs(25 * 60);

/// Why there is no connection to an instance.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens there, or the way is cut.
    #[error("dialling")]
    Dial(#[source] io::Error),
    /// It did not prove to be who was called, or did not believe us.
    #[error("agreeing on TLS")]
    Tls(#[source] TlsError),
    /// It does not speak HTTP as it must.
    #[error("agreeing on HTTP")]
    Http(#[source] hyper::Error),
    /// It took too long.
    #[error("no connection within {0:?}")]
    Slow(Duration),
    /// Requests that came before are connecting still, which says nothing against the instance.
    #[error("no turn to connect")]
    Busy,
    /// Another request, which this one waited for, did not get a connection.
    #[error("waiting for another request's connection")]
    Theirs(#[source] Arc<ConnectError>),
    /// This process stood still while it was to connect, which says nothing against the instance.
    #[error("no time to connect, as this process stood still")]
    StoodStill,
    /// This process is at its end and connects to nobody.
    #[error("no connections are made any more")]
    Closed,
}

impl ConnectError {
    /// Whether it says something of the instance that has not been said already.
    pub(crate) fn is_of_instance(&self) -> bool {
        !matches!(self, Self::Busy | Self::Theirs(_) | Self::StoodStill | Self::Closed)
    }

    /// Whether it says less of the instance than of whoever was in a hurry.
    pub(crate) fn is_of_haste(&self) -> bool {
        /// Some fifty times what it takes, and less than a request with others to go to waits.
        const FAIR: Duration = Duration::from_millis(250);
        matches!(self, Self::Slow(within) if *within < FAIR)
    }

    /// Whether the host answered that nobody listens there.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Dial(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// Whether only time ran out, and sooner than in `patience`.
    pub(crate) fn came_before(&self, patience: Duration) -> bool {
        match self {
            Self::Slow(within) => *within < patience,
            error => matches!(error, Self::StoodStill),
        }
    }
}

impl Classify for ConnectError {
    /// Nothing was sent, so nothing happened.
    fn class(&self) -> ErrorClass {
        ErrorClass::Unavailable
    }
}

/// Connects to the instances of one service.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    pub(crate) service: ServiceName,
    callee: SpiffeId,
    env: Env,
    identity: Identity,
    closing: CancellationToken,
}

impl Dialer {
    /// It outlasts the loss of a packet, both when TCP and when TLS begins.
    const LONGEST: Duration = Duration::from_secs(3);
    /// Where another instance may answer at once, nobody waits for packets to be sent again.
    const WITH_OTHERS: Duration = Duration::from_millis(500);

    /// How long to try one for which no request waits: shorter than the pause before it is tried again.
    pub(crate) const IN_BACKGROUND: Duration = Duration::from_millis(900);

    /// How long to try one instance: half of what is left until `deadline` at most, so that there is time for another,
    /// or for the same once more.
    pub(crate) fn patience(deadline: Deadline, has_others: bool) -> Duration {
        let longest = if has_others { Self::WITH_OTHERS } else { Self::LONGEST };
        longest.min(deadline.remaining() / 2)
    }

    pub(crate) fn new(
        env: &Env,
        identity: &Identity,
        trust_domain: &TrustDomain,
        service: &ServiceName,
        closing: &CancellationToken,
    ) -> Self {
        Self {
            service: service.clone(),
            callee: SpiffeId::service(trust_domain, service),
            env: env.clone(),
            identity: identity.clone(),
            closing: closing.clone(),
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.env.clock
    }

    pub(crate) fn random(&self) -> &Random {
        &self.env.random
    }

    /// What `connect` gives within `budget`.
    pub(crate) async fn within<T>(
        &self,
        budget: Duration,
        connect: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        if self.closing.is_cancelled() {
            return Err(ConnectError::Closed);
        }
        let until = Deadline::within(budget);
        match until.bound(connect).await {
            Ok(connected) => connected,
            Err(_late) if has_stood_still(until) => Err(ConnectError::StoodStill),
            Err(_late) => Err(ConnectError::Slow(budget)),
        }
    }

    /// A connection to `addr`, where the service must prove to be.
    pub(crate) async fn dial(&self, addr: SocketAddr, alpn: Alpn) -> Result<Io, ConnectError> {
        let io = self.env.net.dial(&addr.to_string()).await.map_err(ConnectError::Dial)?;
        let secured = self.identity.connect(io, &self.callee, alpn).await.map_err(ConnectError::Tls)?;
        Ok(secured.io)
    }

    /// What it means that a connection broke when a request may have been on its way.
    pub(crate) fn broken(&self, error: hyper::Error) -> SendError {
        // To hyper it is the user's fault that the tasks of the connection have been ended.
        if self.closing.is_cancelled() { SendError::Lost(error) } else { SendError::after_sending(error) }
    }

    /// Where what belongs to one connection runs.
    pub(crate) fn runner(&self) -> Runner {
        Runner { tasks: self.env.tasks.clone(), closing: self.closing.child_token() }
    }
}

/// Runs the tasks of one connection until they end, or until all connections are to end.
#[derive(Clone, Debug)]
pub(crate) struct Runner {
    tasks: runtime::Tasks,
    closing: CancellationToken,
}

impl Runner {
    pub(crate) fn run(&self, task: impl Future<Output: Send> + Send + 'static) {
        let closing = self.closing.clone();
        self.tasks.spawn("outbound connection", async move {
            // How it ends, its users are told.
            closing.run_until_cancelled_owned(task).await;
        });
    }
}

/// For the streams of HTTP/2, which end with their connection.
impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Runner {
    fn execute(&self, stream: F) {
        // How it ends, its user is told.
        self.tasks.spawn("outbound stream", stream.map(drop));
    }
}

/// The error in words, with its causes.
pub(crate) fn told(error: &ConnectError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
