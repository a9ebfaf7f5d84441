use database::{Batch, Database, ReadError, Row, Sql, params};
use runtime::Deadline;

use crate::keys::StoredKey;

/// The constraint that keeps two replicas from making the same key of a row each.
pub(crate) const GENERATION_IS_TAKEN: &str = "signing_keys_pkey";

const KEYS: Sql =
    Sql::new("SELECT generation, kid, sealed, signs_from FROM signing_keys ORDER BY generation");

const INSERT: Sql =
    Sql::new("INSERT INTO signing_keys (generation, kid, sealed, signs_from) VALUES ($1, $2, $3, $4)");

const DELETE: Sql = Sql::new("DELETE FROM signing_keys WHERE generation = $1");

/// All keys, the oldest first.
pub(crate) async fn keys(database: &Database, deadline: Deadline) -> Result<Vec<StoredKey>, ReadError> {
    let rows = database.query(KEYS, params![], deadline).await?;
    rows.iter().map(stored_key).collect()
}

pub(crate) fn insert_key(batch: &mut Batch, key: &StoredKey) {
    let StoredKey { generation, kid, sealed, signs_from } = key;
    let params = params![*generation, kid, sealed.as_slice(), *signs_from];
    batch.key("signing-keys").expect(1, INSERT, params);
}

pub(crate) fn delete_key(batch: &mut Batch, generation: i64) {
    batch.key("signing-keys").run(DELETE, params![generation]);
}

fn stored_key(row: &Row) -> Result<StoredKey, ReadError> {
    Ok(StoredKey { generation: row.get(0)?, kid: row.get(1)?, sealed: row.get(2)?, signs_from: row.get(3)? })
}
