//! What happens to accounts elsewhere, and what follows from it here.

use std::time::Duration;

use database::{Batch, CommitError, Database};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use runtime::{Clock, Deadline, Random};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

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

    pub(crate) fn new(desk: &Desk) -> Self {
        let Desk { accounts, database, feed, clock, random, .. } = desk.clone();
        Self { accounts, database, feed, clock, random }
    }

    /// Follows until `stop`.
    pub(crate) async fn keep_following(self, stop: CancellationToken) {
        let mut told = false;
        loop {
            let mut followed = 0_u32;
            let Some(lost) = stop.run_until_cancelled(self.follow(&mut followed)).await else { return };
            // One warning for each time that it is lost, not for each try.
            if !told || followed > 0 {
                tracing::warn!(
                    error = &lost as &dyn std::error::Error,
                    "changes of accounts are not followed now"
                );
            }
            told = true;
            let pause = sleep(self.random.jitter(Self::PAUSE));
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    /// Follows until that is lost, and counts what it is told.
    async fn follow(&self, told: &mut u32) -> Lost {
        match self.try_follow(told).await {
            Ok(()) => Lost::Silence,
            Err(lost) => lost,
        }
    }

    async fn try_follow(&self, told: &mut u32) -> Result<(), Lost> {
        let mut changes = self.accounts.watch_changes().await?;
        while let Ok(next) = timeout(Self::SILENCE, changes.next()).await {
            let Some(changes) = next? else { break };
            *told = told.saturating_add(1);
            self.draw_consequences(&changes).await?;
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
        stream::iter(writes).buffer_unordered(Self::AT_ONCE).try_collect::<()>().await?;
        self.feed.written();
        let ids: Vec<_> = changes.iter().map(|change| change.id).collect();
        Ok(self.accounts.settle(&ids, deadline).await?)
    }

    async fn write(&self, change: &AccountChange, deadline: Deadline) -> Result<(), CommitError> {
        let mut batch = Batch::new();
        consequences(&mut batch, change, Ending::at(self.clock.now()));
        self.database.commit(batch, deadline).await
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
