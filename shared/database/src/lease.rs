use std::time::Duration;

use runtime::Deadline;
use types::Timestamp;

use crate::{Batch, CommitError, Database, Sql, params};

/// The right to do one kind of work, such as relaying events, while no other replica does it.
///
/// It is claimed for a time and renewed before that is over. Whoever was paused for longer may still believe
/// in it; therefore each claim gets a higher fencing number, and a batch that is [fenced](Batch::fenced_by)
/// by an older one does not commit. The clocks of replicas may differ: that costs an early takeover, never a
/// double effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    name: String,
    holder: String,
    fence: i64,
    until: Timestamp,
}

impl Lease {
    /// What it is for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its fencing number: higher than that of every earlier holder.
    pub fn fence(&self) -> i64 {
        self.fence
    }

    /// When it ends unless it is renewed.
    pub fn until(&self) -> Timestamp {
        self.until
    }
}

const CLAIM: Sql = Sql::new(
    "INSERT INTO flotilla_leases (name, holder, until, fence) VALUES ($1, $2, $3, 1) \
     ON CONFLICT (name) DO UPDATE \
     SET holder = excluded.holder, until = excluded.until, fence = flotilla_leases.fence + 1 \
     WHERE flotilla_leases.until <= $4 \
     RETURNING fence",
);
const RENEW: Sql = Sql::new("UPDATE flotilla_leases SET until = $1 WHERE name = $2 AND fence = $3");
const RELEASE: Sql = Sql::new("UPDATE flotilla_leases SET until = 0 WHERE name = $1 AND fence = $2");

/// Holds the row against a takeover until the batch has committed; SQLite's one writer holds everything.
pub(crate) const HOLDS: Sql = Sql::per_dialect(
    "SELECT 1 FROM flotilla_leases WHERE name = $1 AND fence = $2 FOR SHARE",
    "SELECT 1 FROM flotilla_leases WHERE name = $1 AND fence = $2",
);

impl Database {
    /// Claims the lease called `name` for `ttl`, or tells that another holder has it.
    ///
    /// # Errors
    /// Those of a transaction.
    pub async fn claim_lease(
        &self,
        name: &str,
        holder: &str,
        ttl: Duration,
        deadline: Deadline,
    ) -> Result<Option<Lease>, CommitError> {
        let now = self.now();
        let until = now.after(ttl);
        let claim = async |tx: &mut crate::Transaction| {
            let rows = tx.query(CLAIM, params![name, holder, until, now]).await?;
            rows.first().map(|row| row.get::<i64>(0)).transpose().map_err(CommitError::from)
        };
        let fence = self.transaction(deadline, claim).await?;
        let lease = |fence| Lease { name: name.to_owned(), holder: holder.to_owned(), fence, until };
        Ok(fence.map(lease))
    }

    /// Makes the lease last for `ttl` from now.
    ///
    /// # Errors
    /// [`CommitError::Fenced`] when another holder has claimed it since, and those of a commit.
    pub async fn renew_lease(
        &self,
        lease: &mut Lease,
        ttl: Duration,
        deadline: Deadline,
    ) -> Result<(), CommitError> {
        let until = self.now().after(ttl);
        let mut batch = Batch::new();
        batch.key(format_args!("lease:{}", lease.name));
        batch.fenced_by(lease).expect(1, RENEW, params![until, lease.name(), lease.fence]);
        self.commit(batch, deadline).await?;
        lease.until = until;
        Ok(())
    }

    /// Gives the lease up, so that another replica need not wait for its end. It is no error when another
    /// has claimed it already.
    ///
    /// # Errors
    /// Those of a commit.
    pub async fn release_lease(&self, lease: Lease, deadline: Deadline) -> Result<(), CommitError> {
        let mut batch = Batch::new();
        batch.key(format_args!("lease:{}", lease.name));
        batch.run(RELEASE, params![lease.name(), lease.fence]);
        self.commit(batch, deadline).await
    }
}
