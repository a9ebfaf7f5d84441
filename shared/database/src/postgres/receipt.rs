//! How the outcome of a lost commit is found out.
//!
//! Each transaction, or each share of a group's, inserts a row under a fresh id as its last statement. When
//! the connection is lost before the answer, the same id is inserted from a new one as a refusal: if it has
//! committed, its receipt is found; if not, the refusal keeps it from ever committing, however late the server
//! comes to it. Unlike asking for the status of a transaction id, this needs no round trip to learn the id before the
//! commit, gives an answer while the old transaction still hangs, and holds on a promoted standby.

use std::time::Duration;

use runtime::Deadline;
use types::Timestamp;
use uuid::Uuid;

use super::connection::{Connection, Connector};
use super::error::text;
use crate::Sql;

/// Leaves a receipt and takes away one that the connection left before, whose outcome has long been known.
pub(super) const LEAVE: Sql = Sql::per_dialect(
    "WITH known AS (DELETE FROM flotilla_receipts WHERE id = $1) \
     INSERT INTO flotilla_receipts (id, committed) VALUES ($2, true)",
    "",
);
const REFUSE: &str =
    "INSERT INTO flotilla_receipts (id, committed) VALUES ($1, false) ON CONFLICT DO NOTHING";
const LOOK: &str = "SELECT committed FROM flotilla_receipts WHERE id = $1";
const PURGE: &str = "DELETE FROM flotilla_receipts WHERE id < $1";

/// The first pause before asking again; a server that restarts is back after some of them.
const PAUSE: Duration = Duration::from_millis(50);

/// Receipts of connections that have ended are kept for so long: longer than a server can come back to a
/// transaction whose connection is gone.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Which of what was to leave `receipts` has committed; the rest never will.
///
/// # Errors
/// The reason why that could not be found out until `deadline`.
pub(super) async fn look_up(
    connector: &Connector,
    receipts: &[Uuid],
    deadline: Deadline,
) -> Result<Vec<bool>, String> {
    let mut reason = "the connection was lost".to_owned();
    while !deadline.has_passed() {
        match deadline.bound(ask(connector, receipts)).await {
            Ok(Ok(committed)) => return Ok(committed),
            Ok(Err(error)) => reason = error,
            Err(_) => break,
        }
        let pause = PAUSE + connector.env().random.jitter(PAUSE);
        tokio::time::sleep(pause.min(deadline.remaining())).await;
    }
    Err(reason)
}

async fn ask(connector: &Connector, receipts: &[Uuid]) -> Result<Vec<bool>, String> {
    let timeouts = connector.timeouts();
    let connection = connector.connect(timeouts.lock, timeouts.statement).await?;
    let mut committed = Vec::with_capacity(receipts.len());
    for receipt in receipts {
        // Waits for the old transaction if that has left its receipt and not yet ended.
        let refuse = connection.client().execute(REFUSE, &[receipt]).await;
        refuse.map_err(|error| text(&error))?;
        let look = connection.client().query_one(LOOK, &[receipt]).await;
        committed.push(look.and_then(|row| row.try_get(0)).map_err(|error| text(&error))?);
    }
    Ok(committed)
}

/// Takes away what connections that have ended left long ago. Whatever it misses, the next one finds.
pub(super) async fn purge(connection: &Connection, now: Timestamp) {
    let millis = u64::try_from(now.before(KEPT).millis()).unwrap_or(0);
    let oldest = uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid();
    if let Err(error) = connection.client().execute(PURGE, &[&oldest]).await {
        tracing::info!(error = text(&error), "old receipts could not be taken away");
    }
}
