use std::future::Future;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The signals that end a process: SIGTERM from a supervisor, SIGINT from a terminal.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// A second signal came before the end that the first one asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ended at once by a second signal, without finishing what was in flight")]
pub struct Impatient;

impl Signals {
    /// Takes the signals over from the operating system. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn take() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Runs `work` to its end. The first signal cancels `shutdown`, which is to end it in order.
    ///
    /// # Errors
    /// [`Impatient`] when a second signal comes first; `work` is dropped then.
    pub async fn until_done<F: Future>(
        mut self,
        shutdown: &CancellationToken,
        work: F,
    ) -> Result<F::Output, Impatient> {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            output = &mut work => return Ok(output),
            signal = self.next() => {
                tracing::info!(signal, "shutting down");
                shutdown.cancel();
            }
        }
        tokio::select! {
            output = work => Ok(output),
            _ = self.next() => Err(Impatient),
        }
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
