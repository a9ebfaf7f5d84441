//! The accept loop, the platform's only one: from a listener to requests, and to the end of every connection.

mod activity;
mod connection;
mod counters;
mod framing;
mod limits;
mod protocols;
mod slots;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use runtime::{Env, Io, Listener};
use service_auth::{Alpn, Identity, PublicTls};
use telemetry::Metrics;
use tokio_util::sync::CancellationToken;

pub(crate) use self::activity::Busy;
use self::connection::Host;
use self::counters::Counters;
pub(crate) use self::framing::{LARGEST_HEAD, LONGEST_REQUEST_LINE, MOST_FIELDS, Place, Violation};
pub use self::limits::Limits;
use self::slots::Slots;
use crate::Inbound;

/// What lies between the listener and HTTP.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Nothing, and HTTP/1.1 alone is spoken.
    Plain,
    /// TLS with certificates on both ends.
    Mtls(Identity, Alpn),
    /// TLS with clients that nobody knows; they choose among the versions of HTTP.
    Tls(PublicTls),
}

/// A listener and what answers on it.
pub struct Server {
    /// Its name on metrics and in logs.
    pub name: &'static str,
    /// Where connections come from.
    pub listener: Listener,
    /// What they are wrapped in.
    pub transport: Transport,
    /// What answers requests.
    pub inbound: Inbound,
    /// How much it takes on.
    pub limits: Limits,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because they had not finished in time.
    pub cut: usize,
}

impl Server {
    /// Serves until `shutdown`, then takes no more and lets every connection finish what it has, for at most
    /// `drain`. Connections run as tasks of `env`.
    pub async fn run(
        mut self,
        env: &Env,
        metrics: &Metrics,
        shutdown: CancellationToken,
        drain: Duration,
    ) -> Drained {
        let slots = Slots::new(&self.limits);
        let counters = Counters::new(self.name, metrics);
        let host = Arc::new(Host::new(&self, env, counters, &shutdown));
        // Once it is told to end, the answer to who comes first does not matter any more.
        shutdown.run_until_cancelled(accept(&mut self.listener, &host, &slots)).await;
        // Whoever comes from now on is refused by the operating system and goes to another instance.
        drop(self.listener);
        host.drained(&slots, drain).await
    }
}

/// Takes connections for ever.
async fn accept(listener: &mut Listener, host: &Arc<Host>, slots: &Slots) {
    loop {
        match listener.accept().await {
            Ok((io, addr)) => admit(io, addr, host, slots),
            Err(error) => pause(&error).await,
        }
    }
}

fn admit(io: Io, addr: SocketAddr, host: &Arc<Host>, slots: &Slots) {
    match slots.take(addr.ip()) {
        Some(slot) => host.spawn(io, addr, slot),
        // Closed at once: to wait would only hide from the caller that another instance is the better choice.
        None => host.counters.refused(),
    }
}

/// No error ends the loop. One that is about the connection concerns nobody else; any other, such as too many
/// open files, would come again at once, so the loop waits until some connections may have ended.
async fn pause(error: &io::Error) {
    const BACK_OFF: Duration = Duration::from_millis(100);
    let of_the_connection = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    );
    if !of_the_connection {
        tracing::error!(%error, "cannot accept connections for the moment");
        tokio::time::sleep(BACK_OFF).await;
    }
}
