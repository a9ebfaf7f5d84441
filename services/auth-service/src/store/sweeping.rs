use database::{Batch, Database, ReadError, Sql, params};
use runtime::Deadline;
use types::Timestamp;

/// What is swept: rows that nothing depends on any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sweep {
    /// Refresh tokens that were issued before a moment.
    Tokens,
    /// Sessions that were over before a moment.
    Sessions,
    /// Revocations that mattered until before a moment.
    Revocations,
}

const TOKENS: Sql = Sql::new(
    "DELETE FROM refresh_tokens WHERE hash IN \
     (SELECT hash FROM refresh_tokens WHERE issued_at < $1 ORDER BY issued_at LIMIT 500)",
);
const SESSIONS: Sql = Sql::new(
    "DELETE FROM sessions WHERE id IN \
     (SELECT id FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT 500)",
);
const REVOCATIONS: Sql = Sql::new(
    "DELETE FROM revocations WHERE id IN \
     (SELECT id FROM revocations WHERE until < $1 ORDER BY until LIMIT 500)",
);

const OLD_TOKEN: Sql = Sql::new("SELECT 1 FROM refresh_tokens WHERE issued_at < $1 LIMIT 1");
const OLD_SESSION: Sql = Sql::new("SELECT 1 FROM sessions WHERE expires_at < $1 LIMIT 1");
const OLD_REVOCATION: Sql = Sql::new("SELECT 1 FROM revocations WHERE until < $1 LIMIT 1");

/// Deletes 500 rows of before `moment` at the most, so that nobody waits for it.
pub(crate) fn sweep(batch: &mut Batch, what: Sweep, moment: Timestamp) {
    let sql = match what {
        Sweep::Tokens => TOKENS,
        Sweep::Sessions => SESSIONS,
        Sweep::Revocations => REVOCATIONS,
    };
    batch.run(sql, params![moment]);
}

/// Whether there is something to sweep.
pub(crate) async fn has_more(
    database: &Database,
    what: Sweep,
    moment: Timestamp,
    deadline: Deadline,
) -> Result<bool, ReadError> {
    let sql = match what {
        Sweep::Tokens => OLD_TOKEN,
        Sweep::Sessions => OLD_SESSION,
        Sweep::Revocations => OLD_REVOCATION,
    };
    Ok(database.query_opt(sql, params![moment], deadline).await?.is_some())
}
