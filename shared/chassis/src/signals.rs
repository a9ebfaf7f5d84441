use std::future::Future;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The signals that end a process: SIGTERM from a supervisor, SIGINT from a terminal.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// A second signal came before the end that the first one asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ended at once by a second signal, without finishing what was in flight")]
pub struct Impatient;

/// The life of a process that serves: it takes the signals over, starts, and serves until the first one. One that
/// comes during the start ends it at once, since nothing is in flight yet.
///
/// # Errors
/// Those of `start` and `serve`; [`Impatient`]; or the operating system does not give the signals.
pub async fn live<T, E>(
    start: impl Future<Output = Result<T, E>>,
    serve: impl AsyncFnOnce(T, CancellationToken) -> Result<(), E>,
) -> Result<(), E>
where
    E: From<io::Error> + From<Impatient>,
{
    let signals = Signals::take()?;
    let shutdown = CancellationToken::new();
    let work = async {
        let Some(started) = shutdown.run_until_cancelled(start).await else { return Ok(()) };
        serve(started?, shutdown.clone()).await
    };
    signals.until_done(&shutdown, work).await?
}

impl Signals {
    /// Must be called inside a tokio runtime.
    fn take() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Runs `work` to its end. The first signal cancels `shutdown`, which is to end it in order; when a second one
    /// comes first, `work` is dropped.
    async fn until_done<F: Future>(
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

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::process::{Command, id};
    use std::time::Duration;

    use runtime::Deadline;

    use super::*;
    use crate::Failure;

    #[tokio::test]
    async fn a_signal_during_the_start_ends_it_at_once() {
        let start = async {
            // The signals have been taken over, or this would be the end of all tests.
            let sent = Command::new("kill").args(["-s", "TERM", &id().to_string()]).status().unwrap();
            assert!(sent.success());
            pending::<Result<(), Failure>>().await
        };
        let serve = async |(), _| panic!("it has not started");
        let ended = Deadline::within(Duration::from_secs(20)).bound(live(start, serve)).await;
        assert!(matches!(ended, Ok(Ok(()))), "{ended:?}");
    }
}
