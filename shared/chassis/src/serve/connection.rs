//! One connection, from its first byte to its last.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use runtime::{Env, Io};
use service_auth::{Peer, Protocol, Secured, TlsError};
use tokio::io::AsyncReadExt as _;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::activity::Activity;
use super::counters::Counters;
use super::framing::{Ending, Wire};
use super::protocols::{self, PREFACE, Requests};
use super::slots::{Slot, Slots};
use super::{Drained, Limits, Server, Transport};
use crate::Inbound;
use crate::inbound::Client;

/// What all connections of a server share.
pub(super) struct Host {
    env: Env,
    transport: Transport,
    inbound: Inbound,
    limits: Limits,
    pub(super) counters: Counters,
    /// Finish what you have.
    finish: CancellationToken,
    /// End, finished or not.
    cut: CancellationToken,
    were_cut: AtomicUsize,
    /// The service's, which each of its log lines names.
    span: Span,
}

/// A connection in hyper's hands, of either version.
pub(super) trait Finish: Future {
    /// Has it end after what is in flight: HTTP/1 by `connection: close`, HTTP/2 by GOAWAY.
    fn finish(self: Pin<&mut Self>);
}

impl Host {
    pub(super) fn new(server: &Server, env: &Env, counters: Counters, finish: &CancellationToken) -> Self {
        Self {
            env: env.clone(),
            transport: server.transport.clone(),
            inbound: server.inbound.clone(),
            limits: server.limits,
            counters,
            finish: finish.clone(),
            cut: CancellationToken::new(),
            were_cut: AtomicUsize::new(0),
            span: Span::current(),
        }
    }

    /// Serves a connection in a task of its own, which gives `slot` back when it ends.
    pub(super) fn spawn(self: &Arc<Self>, io: Io, addr: SocketAddr, slot: Slot) {
        let host = Arc::clone(self);
        let serve = async move {
            let _open = host.counters.opened();
            host.counters.contain(host.serve(io, addr, &slot)).await;
            drop(slot);
        };
        self.env.tasks.spawn("connection", serve.instrument(self.span.clone()));
    }

    /// Waits until all slots are free again, and cuts the connections that still have one after `drain`.
    pub(super) async fn drained(&self, slots: &Slots, drain: Duration) -> Drained {
        let mut ended = pin!(slots.all_free());
        if timeout(drain, &mut ended).await.is_err() {
            self.cut.cancel();
            ended.await;
        }
        Drained { cut: self.were_cut.load(Ordering::Relaxed) }
    }

    async fn serve(&self, io: Io, addr: SocketAddr, slot: &Slot) {
        match self.finish.run_until_cancelled(self.secured(io)).await {
            Some(Some((io, peer, protocol))) => {
                if peer.is_some() {
                    slot.identified();
                }
                let client = Client::new(addr, peer);
                match protocol {
                    Protocol::Http1 => self.serve_http1(io, client).await,
                    Protocol::H2 => self.serve_http2(io, client).await,
                }
            }
            Some(None) => self.counters.failed_handshake(),
            None => {}
        }
    }

    async fn secured(&self, io: Io) -> Option<(Io, Option<Peer>, Protocol)> {
        let handshake = async {
            match &self.transport {
                Transport::Plain => Ok((io, None, Protocol::Http1)),
                Transport::Mtls(identity, alpn) => {
                    let Secured { io, peer, protocol } = identity.accept(io, *alpn).await?;
                    Ok((io, Some(Peer(peer)), protocol))
                }
                Transport::Tls(tls) => {
                    let (io, protocol) = tls.accept(io).await?;
                    Ok((io, None, protocol))
                }
            }
        };
        let Ok(secured) = timeout(self.limits.handshake, handshake).await else {
            tracing::debug!("a client did not finish its TLS handshake in time");
            return None;
        };
        match secured {
            Ok(secured) => Some(secured),
            Err(error) => {
                let error: TlsError = error;
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
        }
    }

    async fn serve_http1(&self, io: Io, client: Client) {
        let (wire, activity) = (Wire::new(io, self.limits.patience()), Activity::default());
        let requests = Requests::new(&self.inbound, client, wire.ending(), activity.clone());
        let http1 = protocols::http1(&self.limits);
        self.drive(http1.serve_connection(TokioIo::new(wire), requests), &activity).await;
    }

    async fn serve_http2(&self, mut io: Io, client: Client) {
        // hyper waits for the preface without bound.
        let mut preface = [0; PREFACE.len()];
        let read = timeout(self.limits.head, io.read_exact(&mut preface));
        let arrived = matches!(self.finish.run_until_cancelled(read).await, Some(Ok(Ok(_))));
        if !arrived || preface != *PREFACE {
            return;
        }
        let wire = Wire::after_preface(io, &preface, self.limits.patience());
        let activity = Activity::default();
        let requests = Requests::new(&self.inbound, client, Ending::default(), activity.clone());
        let http2 = protocols::http2(&self.env.tasks, &self.counters, &self.limits);
        self.drive(http2.serve_connection(TokioIo::new(wire), requests), &activity).await;
    }

    /// An open connection becomes a finishing one, and ends by itself or is cut.
    async fn drive(&self, connection: impl Finish, activity: &Activity) {
        let mut connection = pin!(connection);
        tokio::select! {
            // What has arrived is served before the connection hears that it is to end.
            biased;
            _ = connection.as_mut() => return,
            () = self.finish.cancelled() => {}
            () = sleep(self.age()) => {}
            // hyper ends an idle connection of HTTP/1 by itself, and none of HTTP/2.
            () = activity.idle(self.limits.idle) => {}
        }
        connection.as_mut().finish();
        tokio::select! {
            biased;
            _ = connection.as_mut() => {}
            // A client of HTTP/2 can keep a connection from ending for as long as it likes.
            () = sleep(self.limits.leave) => {}
            () = self.cut.cancelled() => {
                // What carries no request loses none.
                self.were_cut.fetch_add(usize::from(activity.is_busy()), Ordering::Relaxed);
            }
        }
    }

    /// Spread over a tenth, so that clients which came together do not come back together.
    fn age(&self) -> Duration {
        self.limits.age + self.env.random.jitter(self.limits.age / 10)
    }
}
