//! An orderly end: a stage is told to stop, is waited for, and is cut off when its time is over.

use std::future::Future;

use runtime::{Deadline, Tasks};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// Tasks that end together.
#[derive(Debug)]
pub(crate) struct Stage {
    name: &'static str,
    tasks: Tasks,
    stop: CancellationToken,
    running: TaskTracker,
    handles: Vec<AbortHandle>,
}

impl Stage {
    /// A stage without tasks.
    pub(crate) fn new(name: &'static str, tasks: &Tasks) -> Self {
        let (stop, running) = (CancellationToken::new(), TaskTracker::new());
        Self { name, tasks: tasks.clone(), stop, running, handles: Vec::new() }
    }

    /// Starts a task, which is given the token that tells it to stop.
    pub(crate) fn start<F>(&mut self, name: &'static str, work: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // A task knows its service only by the span it is started in.
        let work = self.running.track_future(work(self.stop.clone()).in_current_span());
        self.handles.push(self.tasks.spawn(name, work));
    }

    /// Tells the tasks to stop and waits for them until `deadline`. What has to be cut off is told.
    pub(crate) async fn end(self, deadline: Deadline) -> Option<String> {
        self.stop.cancel();
        self.running.close();
        if deadline.bound(self.running.wait()).await.is_ok() {
            return None;
        }
        self.handles.iter().for_each(AbortHandle::abort);
        Some(self.name.to_owned())
    }
}
