use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use super::LaneJob;
use super::committer::Committer;
use super::connection::Connector;
use super::group::Opening;
use crate::CommitError;
use crate::group::{Job, Pending, Writer};
use crate::metrics::DatabaseMetrics;

/// A lane waits so long for a row and no longer, because everyone in the group waits too: less than a group
/// takes, so that one batch whose row is held does not double their wait.
const PATIENCE: Duration = Duration::from_millis(1);

/// How long the crowded lane waits for those of other processes to have had their turn: some groups each.
const TURN: Duration = Duration::from_millis(100);

/// How long the crowded lane waits for a row in its turn. Nobody but lanes and somebody else's transactions can
/// hold it then, and a lane gives it back after a commit or two.
const CROWDED_PATIENCE: Duration = Duration::from_millis(10);

/// A connection that writes groups. What contends with others leaves it.
pub(crate) struct Lane {
    committer: Committer,
    contending: Contending,
    metrics: DatabaseMetrics,
}

/// Where what contends goes.
enum Contending {
    /// To the process's crowded lane, whose groups take turns with those of other processes: where all want the
    /// same rows, one group after the other gets through, and does not meet the others halfway.
    Crowded(mpsc::Sender<LaneJob>),
    /// Each batch on its own, since somebody holds its rows for long.
    Alone(mpsc::Sender<Pending>),
}

impl Lane {
    pub(super) fn new(
        connector: &Arc<Connector>,
        crowded: mpsc::Sender<LaneJob>,
        metrics: &DatabaseMetrics,
    ) -> Self {
        let lock = connector.timeouts().lock.min(PATIENCE);
        let committer = Committer::new(connector, lock, Opening::AtOnce);
        Self { committer, contending: Contending::Crowded(crowded), metrics: metrics.clone() }
    }

    /// The lane for what others have found contended.
    pub(super) fn crowded(
        connector: &Arc<Connector>,
        alone: mpsc::Sender<Pending>,
        metrics: &DatabaseMetrics,
    ) -> Self {
        let lock = connector.timeouts().lock;
        let opening = Opening::in_turn(lock.min(TURN), lock.min(CROWDED_PATIENCE));
        let committer = Committer::new(connector, lock, opening);
        Self { committer, contending: Contending::Alone(alone), metrics: metrics.clone() }
    }
}

impl Contending {
    fn send(&self, pending: Pending) {
        let refused = match self {
            Self::Crowded(lane) => match lane.try_send(Job::Batch(pending)) {
                Err(TrySendError::Full(Job::Batch(pending)) | TrySendError::Closed(Job::Batch(pending))) => {
                    Some(pending)
                }
                _ => None,
            },
            Self::Alone(alone) => alone.try_send(pending).err().map(TrySendError::into_inner),
        };
        if let Some(pending) = refused {
            pending.answer(Err(CommitError::Overloaded));
        }
    }
}

impl Writer for Lane {
    type Exclusive = Infallible;

    async fn write(&mut self, group: Vec<Pending>) {
        // A batch counts in the group that it came in with.
        let is_first = matches!(self.contending, Contending::Crowded(_));
        let began = Instant::now();
        if is_first {
            self.metrics.group(group.len());
        }
        let busy = self.committer.commit(group).await;
        if is_first {
            self.metrics.group_took(began.elapsed());
        }
        busy.into_iter().for_each(|pending| self.contending.send(pending));
    }

    async fn serve(&mut self, nothing: Infallible) {
        match nothing {}
    }
}
