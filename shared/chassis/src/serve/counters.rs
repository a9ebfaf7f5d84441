use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use telemetry::Metrics;
use telemetry::metrics::{Counter, Family, Gauge, Labels};

/// What happened to the connections of one listener.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    open: Gauge,
    refused: Counter,
    failed_handshakes: Counter,
    panicked: Counter,
    untaken: Counter,
}

impl Counters {
    pub(super) fn new(listener: &'static str, metrics: &Metrics) -> Self {
        let labels = [("listener", listener)];
        let counter = |name, help| {
            metrics.register(name, help, Family::<Labels<1>, Counter>::default()).get_or_create_owned(&labels)
        };
        let open = metrics.register(
            "flotilla_connections_open",
            "Connections that are open",
            Family::<Labels<1>, Gauge>::default(),
        );
        Self {
            open: open.get_or_create_owned(&labels),
            refused: counter(
                "flotilla_connections_refused",
                "Connections closed because there were too many",
            ),
            failed_handshakes: counter("flotilla_handshakes_failed", "TLS handshakes that came to nothing"),
            panicked: counter("flotilla_connections_panicked", "Connections that ended in a panic"),
            untaken: counter("flotilla_answers_untaken", "Answers that their client did not take in time"),
        }
    }

    pub(super) fn refused(&self) {
        self.refused.inc();
    }

    pub(super) fn failed_handshake(&self) {
        self.failed_handshakes.inc();
    }

    pub(super) fn untaken(&self) {
        self.untaken.inc();
    }

    /// Runs `work`, a panic in which, such as in the body of an answer, ends what it concerns and not the service.
    pub(super) async fn contain(&self, work: impl Future<Output = ()>) {
        if AssertUnwindSafe(work).catch_unwind().await.is_err() {
            self.panicked.inc();
            tracing::error!("a connection ended in a panic");
        }
    }

    /// Counts a connection as open until it is dropped.
    pub(super) fn opened(&self) -> Open {
        self.open.inc();
        Open(self.open.clone())
    }
}

/// An open connection.
pub(super) struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
