//! What happens to accounts elsewhere, and what follows from it here.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use database::{Batch, CommitError, Database};
use futures_util::{StreamExt as _, stream};
use runtime::{Clock, Deadline, Random};
use telemetry::Metrics;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use types::Timestamp;
use uuid::Uuid;

use crate::accounts::{AccountChange, Accounts, AccountsError, ChangeKind};
use crate::desk::Desk;
use crate::feed::Feed;
use crate::store::{self, Ending};

/// Follows what happens to accounts. Replicas do so beside each other: doing it twice is doing it once.
pub(crate) struct Follower {
    accounts: Accounts,
    database: Database,
    feed: Feed,
    clock: Clock,
    random: Random,
    followed_at: Arc<AtomicI64>,
    is_lost: bool,
}

/// Why it must begin again.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("user-service tells nothing")]
    Accounts(#[from] AccountsError),
    #[error("user-service tells nothing any more")]
    Silence,
    #[error("what follows from a change of an account cannot be written")]
    Commit(#[from] CommitError),
}

impl Follower {
    /// The other end breaks its silence every second.
    const SILENCE: Duration = Duration::from_secs(5);
    /// The longest pause before another try.
    const PAUSE: Duration = Duration::from_secs(1);
    /// For what is done about some changes.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// As many changes are worked on at once: they share commits.
    const AT_ONCE: usize = 64;

    pub(crate) fn new(desk: &Desk, metrics: &Metrics) -> Self {
        let Desk { accounts, database, feed, clock, random, .. } = desk.clone();
        let followed_at = Arc::new(AtomicI64::new(clock.now().micros()));
        let (followed, now) = (Arc::clone(&followed_at), clock.clone());
        metrics.gauge(
            "flotilla_account_changes_age_seconds",
            "How long changes of accounts are not followed, since when they end no sessions",
            move || {
                let followed = Timestamp::from_micros(followed.load(Ordering::Relaxed));
                i64::try_from(now.now().since(followed).as_secs()).unwrap_or(i64::MAX)
            },
        );
        Self { accounts, database, feed, clock, random, followed_at, is_lost: false }
    }

    /// Follows until `stop`.
    pub(crate) async fn keep_following(mut self, stop: CancellationToken) {
        loop {
            let Some(lost) = stop.run_until_cancelled(self.follow()).await else { return };
            // One warning for each time that it is lost, not for each try.
            if !self.is_lost {
                tracing::warn!(
                    error = &lost as &dyn std::error::Error,
                    "changes of accounts are not followed now"
                );
            }
            self.is_lost = true;
            let pause = sleep(self.random.jitter(Self::PAUSE));
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    /// Follows until that is lost.
    async fn follow(&mut self) -> Lost {
        match self.try_follow().await {
            Ok(()) => Lost::Silence,
            Err(lost) => lost,
        }
    }

    async fn try_follow(&mut self) -> Result<(), Lost> {
        let mut changes = self.accounts.watch_changes().await?;
        while let Ok(next) = timeout(Self::SILENCE, changes.next()).await {
            let Some(changes) = next? else { break };
            self.draw_consequences(&changes).await?;
            self.followed_at.store(self.clock.now().micros(), Ordering::Relaxed);
            if std::mem::take(&mut self.is_lost) {
                tracing::info!("changes of accounts are followed again");
            }
        }
        Ok(())
    }

    /// Makes what follows from the changes durable, and then lets user-service forget them.
    async fn draw_consequences(&self, changes: &[AccountChange]) -> Result<(), Lost> {
        if changes.is_empty() {
            return Ok(());
        }
        let deadline = Deadline::within(Self::PATIENCE);
        let writes: Vec<_> = changes.iter().map(|change| self.write(change, deadline)).collect();
        let mut writes = stream::iter(writes).buffer_unordered(Self::AT_ONCE);
        let (mut written, mut failed) = (Vec::new(), None);
        while let Some(outcome) = writes.next().await {
            match outcome {
                Ok(id) => written.push(id),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        self.feed.written();
        // Those whose consequences cannot be written must not hold up the others.
        let settled = self.accounts.settle(&written, Deadline::within(Self::PATIENCE)).await;
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(settled?),
        }
    }

    async fn write(&self, change: &AccountChange, deadline: Deadline) -> Result<Uuid, CommitError> {
        let mut batch = Batch::new();
        consequences(&mut batch, change, Ending::at(self.clock.now()));
        self.database.commit(batch, deadline).await?;
        Ok(change.id)
    }
}

/// What follows from a change. Changes may come in any order, and more than once.
fn consequences(batch: &mut Batch, change: &AccountChange, ending: Ending) {
    let AccountChange { id, account, kind, version } = *change;
    store::raise(batch, account, version);
    match kind {
        ChangeKind::Password(kept) => store::end_older(batch, account, version, kept, ending),
        ChangeKind::Deleted => store::end_older(batch, account, version, None, ending),
        ChangeKind::Role => store::revoke_user(batch, id, account, version, ending),
    }
}
