//! What happened to accounts that concerns their sessions and tokens: kept until whoever issues those has drawn the
//! consequences.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use database::{Batch, Database};
use runtime::Deadline;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use types::{SessionId, UserId};
use uuid::Uuid;

use crate::directory::DirectoryError;
use crate::store;

/// Something that happened to an account. It is written in the batch that makes it happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccountChange {
    /// Settles it.
    pub(crate) id: Uuid,
    /// Whose account.
    pub(crate) account: UserId,
    /// What happened.
    pub(crate) kind: ChangeKind,
    /// The account's version since then.
    pub(crate) version: i64,
    /// The session that goes on after a change of password.
    pub(crate) kept_session: Option<SessionId>,
}

/// What can happen to an account that concerns its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// It has another password.
    Password,
    /// It has another role.
    Role,
    /// It is gone.
    Deleted,
}

impl ChangeKind {
    const ALL: [Self; 3] = [Self::Password, Self::Role, Self::Deleted];

    /// The name in storage.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Role => "role",
            Self::Deleted => "deleted",
        }
    }
}

/// The text is no kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChangeKindError;

impl FromStr for ChangeKind {
    type Err = ChangeKindError;

    fn from_str(text: &str) -> Result<Self, ChangeKindError> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(ChangeKindError)
    }
}

/// The changes that are not settled.
#[derive(Clone)]
pub(crate) struct Changes {
    database: Database,
    written: Arc<watch::Sender<()>>,
}

impl Changes {
    /// As many are told or settled at once; the others wait until these are settled.
    pub(crate) const MOST: u32 = 500;

    pub(crate) fn new(database: Database) -> Self {
        Self { database, written: Arc::default() }
    }

    /// Tells whoever watches in this process that there is one more; to others the next look tells it.
    pub(crate) fn written(&self) {
        self.written.send_replace(());
    }

    /// Forgets the changes with these ids; those that are forgotten already are none of its business.
    pub(crate) async fn settle(&self, ids: &[Uuid], deadline: Deadline) -> Result<(), DirectoryError> {
        let mut batch = Batch::new();
        for id in ids {
            store::settle(&mut batch, *id);
        }
        Ok(self.database.commit(batch, deadline).await?)
    }

    /// Watches them.
    pub(crate) fn watch(&self) -> Watch {
        let written = self.written.subscribe();
        Watch { changes: self.clone(), written, told: BTreeSet::new(), spoke: None }
    }
}

/// Somebody who is told of every change once.
pub(crate) struct Watch {
    changes: Changes,
    written: watch::Receiver<()>,
    /// Those of the last look. What is settled can be left out: it does not come again.
    told: BTreeSet<Uuid>,
    spoke: Option<Instant>,
}

impl Watch {
    /// A change that another replica wrote is told this much later.
    const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
    /// Whoever hears nothing for a few of these knows that the other end is gone.
    const LONGEST_SILENCE: Duration = Duration::from_secs(1);
    /// A look that takes longer finds the database as good as away.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// The next changes, or none after a silence.
    pub(crate) async fn next(&mut self) -> Result<Vec<AccountChange>, DirectoryError> {
        loop {
            if self.spoke.is_some() {
                // Either way there may be something to see.
                drop(timeout(Self::BETWEEN_LOOKS, self.written.changed()).await);
            }
            let news = self.look().await?;
            if !news.is_empty() || self.spoke.is_none_or(|spoke| spoke.elapsed() >= Self::LONGEST_SILENCE) {
                self.spoke = Some(Instant::now());
                return Ok(news);
            }
        }
    }

    async fn look(&mut self) -> Result<Vec<AccountChange>, DirectoryError> {
        let deadline = Deadline::within(Self::PATIENCE);
        let waiting = store::unsettled(&self.changes.database, Changes::MOST, deadline).await?;
        let ids = waiting.iter().map(|change| change.id).collect();
        let told = std::mem::replace(&mut self.told, ids);
        Ok(waiting.into_iter().filter(|change| !told.contains(&change.id)).collect())
    }
}
