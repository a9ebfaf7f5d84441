use database::{Batch, Database, ReadError, Row, Sql, params};
use runtime::Deadline;
use types::{Timestamp, UserId};
use uuid::Uuid;

use super::sessions::Ending;
use crate::revocation::{Revocation, Subject};

const REVOKE_USER: Sql = Sql::new(
    "INSERT INTO revocations (id, recorded_at, user_id, below_version, until) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (id) DO NOTHING",
);

const RECORDED_SINCE: Sql = Sql::new(
    "SELECT id, recorded_at, session_id, user_id, below_version, until FROM revocations \
     WHERE (recorded_at, id) > ($1, $2) AND until > $3 ORDER BY recorded_at, id LIMIT $4",
);

/// Revokes the tokens of `user` that were made for a version below `below`. Doing it twice by one `id` does it once.
pub(crate) fn revoke_user(batch: &mut Batch, id: Uuid, user: UserId, below: i64, ending: Ending) {
    batch.run(REVOKE_USER, params![id, ending.now, user, below, ending.until]);
}

/// At most `limit` revocations that were recorded after `after` and still matter at `now`, the earliest first.
pub(crate) async fn recorded_since(
    database: &Database,
    after: (Timestamp, Uuid),
    now: Timestamp,
    limit: u32,
    deadline: Deadline,
) -> Result<Vec<Revocation>, ReadError> {
    let rows = database.query(RECORDED_SINCE, params![after.0, after.1, now, limit], deadline).await?;
    rows.iter().map(revocation).collect()
}

fn revocation(row: &Row) -> Result<Revocation, ReadError> {
    let subject = match row.get(2)? {
        Some(session) => Subject::Session(session),
        None => Subject::User(row.get(3)?, row.get(4)?),
    };
    Ok(Revocation { id: row.get(0)?, recorded_at: row.get(1)?, subject, until: row.get(5)? })
}
