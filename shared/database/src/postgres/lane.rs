use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use super::committer::Committer;
use super::connection::Connector;
use crate::CommitError;
use crate::group::{Pending, Writer};
use crate::metrics::DatabaseMetrics;

/// A lane waits so long for a row and no longer, because everyone in the group waits too: less than a group
/// takes, so that one batch whose row is held does not double their wait.
const PATIENCE: Duration = Duration::from_millis(1);

/// A connection that writes groups. What contends with others leaves the lane and is tried on its own.
pub(crate) struct Lane {
    committer: Committer,
    crowded: mpsc::Sender<Pending>,
    metrics: DatabaseMetrics,
}

impl Lane {
    pub(super) fn new(
        connector: &Arc<Connector>,
        crowded: mpsc::Sender<Pending>,
        metrics: &DatabaseMetrics,
    ) -> Self {
        let lock = connector.timeouts().lock.min(PATIENCE);
        Self { committer: Committer::new(connector, lock), crowded, metrics: metrics.clone() }
    }
}

impl Writer for Lane {
    type Exclusive = Infallible;

    async fn write(&mut self, group: Vec<Pending>) {
        let began = Instant::now();
        self.metrics.group(group.len());
        let busy = self.committer.commit(group).await;
        self.metrics.group_took(began.elapsed());
        for pending in busy {
            let sent = self.crowded.try_send(pending);
            if let Err(TrySendError::Full(pending) | TrySendError::Closed(pending)) = sent {
                pending.answer(Err(CommitError::Overloaded));
            }
        }
    }

    async fn serve(&mut self, nothing: Infallible) {
        match nothing {}
    }
}
