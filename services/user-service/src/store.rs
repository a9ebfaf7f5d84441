//! The SQL of the accounts, and nothing else.

use database::{Batch, Database, ReadError, Row, Sql, params};
use runtime::Deadline;
use types::{Email, Role, UserId};
use uuid::Uuid;

use crate::account::{Account, Name};
use crate::changes::{AccountChange, ChangeKind};
use crate::password::PasswordHash;

/// The constraint that keeps an address from having two accounts.
pub(crate) const EMAIL_IS_TAKEN: &str = "users_email_key";

const INSERT: Sql = Sql::new(
    "INSERT INTO users (id, email, name, role, created_at, version, password_hash) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)",
);

const UPDATE: Sql = Sql::new(
    "UPDATE users SET email = $1, name = $2, role = $3, version = version + 1 WHERE id = $4 AND version = $5",
);

const SET_PASSWORD: Sql =
    Sql::new("UPDATE users SET password_hash = $1, version = version + 1 WHERE id = $2 AND version = $3");

/// The version stays, because whoever reads the account sees no difference.
const RENEW_HASH: Sql = Sql::new("UPDATE users SET password_hash = $1 WHERE id = $2 AND version = $3");

const DELETE: Sql = Sql::new("DELETE FROM users WHERE id = $1 AND version = $2");

const FIND: Sql = Sql::new("SELECT id, email, name, role, created_at, version FROM users WHERE id = $1");

const FIND_AT: Sql =
    Sql::new("SELECT id, email, name, role, created_at, version FROM users WHERE email = $1");

const PAGE: Sql = Sql::new(
    "SELECT id, email, name, role, created_at, version FROM users WHERE id > $1 ORDER BY id LIMIT $2",
);

const CREDENTIALS_OF: Sql =
    Sql::new("SELECT id, email, name, role, created_at, version, password_hash FROM users WHERE id = $1");

const CREDENTIALS_AT: Sql =
    Sql::new("SELECT id, email, name, role, created_at, version, password_hash FROM users WHERE email = $1");

const NOTE: Sql = Sql::new(
    "INSERT INTO account_changes (id, account_id, kind, version, kept_session) VALUES ($1, $2, $3, $4, $5)",
);

const UNSETTLED: Sql =
    Sql::new("SELECT id, account_id, kind, version, kept_session FROM account_changes ORDER BY id LIMIT $1");

const SETTLE: Sql = Sql::new("DELETE FROM account_changes WHERE id = $1");

/// Where the hash stands among the columns of credentials.
const HASH: usize = 6;

pub(crate) fn insert(batch: &mut Batch, account: &Account, hash: &PasswordHash) {
    let Account { id, email, name, role, created_at, version } = account;
    batch.key(format_args!("email:{email}")).key(format_args!("user:{id}")).expect(
        1,
        INSERT,
        params![*id, email, name.as_str(), role.as_str(), *created_at, *version, hash.as_str()],
    );
}

/// Puts `after` in the place of `before`, if that is still what is there.
pub(crate) fn update(batch: &mut Batch, before: &Account, after: &Account) {
    batch.key(format_args!("user:{}", before.id));
    if before.email != after.email {
        batch.key(format_args!("email:{}", after.email));
    }
    let Account { email, name, role, .. } = after;
    batch.expect(1, UPDATE, params![email, name.as_str(), role.as_str(), before.id, before.version]);
}

/// Gives `before` another password, if that is still what is there.
pub(crate) fn set_password(batch: &mut Batch, before: &Account, hash: &PasswordHash) {
    write_hash(batch, SET_PASSWORD, before, hash);
}

/// Keeps the same password of `account` under another hash, if that is still what is there.
pub(crate) fn renew_hash(batch: &mut Batch, account: &Account, hash: &PasswordHash) {
    write_hash(batch, RENEW_HASH, account, hash);
}

fn write_hash(batch: &mut Batch, sql: Sql, account: &Account, hash: &PasswordHash) {
    let params = params![hash.as_str(), account.id, account.version];
    batch.key(format_args!("user:{}", account.id)).expect(1, sql, params);
}

/// Removes `before`, if that is still what is there.
pub(crate) fn delete(batch: &mut Batch, before: &Account) {
    let params = params![before.id, before.version];
    batch.key(format_args!("user:{}", before.id)).expect(1, DELETE, params);
}

/// Notes what the batch does to an account, for whoever has to know.
pub(crate) fn note(batch: &mut Batch, change: &AccountChange) {
    let AccountChange { id, account, kind, version, kept_session } = change;
    batch.expect(1, NOTE, params![*id, *account, kind.as_str(), *version, *kept_session]);
}

/// Forgets a change.
pub(crate) fn settle(batch: &mut Batch, id: Uuid) {
    batch.key(format_args!("change:{id}")).run(SETTLE, params![id]);
}

pub(crate) async fn find(
    database: &Database,
    id: UserId,
    deadline: Deadline,
) -> Result<Option<Account>, ReadError> {
    let row = database.query_opt(FIND, params![id], deadline).await?;
    row.as_ref().map(account).transpose()
}

pub(crate) async fn find_at(
    database: &Database,
    email: &Email,
    deadline: Deadline,
) -> Result<Option<Account>, ReadError> {
    let row = database.query_opt(FIND_AT, params![email], deadline).await?;
    row.as_ref().map(account).transpose()
}

/// At most `limit` accounts after `after`, in the order of their ids, which is that of their making.
pub(crate) async fn page(
    database: &Database,
    after: UserId,
    limit: u32,
    deadline: Deadline,
) -> Result<Vec<Account>, ReadError> {
    let rows = database.query(PAGE, params![after, limit], deadline).await?;
    rows.iter().map(account).collect()
}

pub(crate) async fn credentials_of(
    database: &Database,
    id: UserId,
    deadline: Deadline,
) -> Result<Option<(Account, PasswordHash)>, ReadError> {
    let row = database.query_opt(CREDENTIALS_OF, params![id], deadline).await?;
    row.as_ref().map(credentials).transpose()
}

pub(crate) async fn credentials_at(
    database: &Database,
    email: &Email,
    deadline: Deadline,
) -> Result<Option<(Account, PasswordHash)>, ReadError> {
    let row = database.query_opt(CREDENTIALS_AT, params![email], deadline).await?;
    row.as_ref().map(credentials).transpose()
}

/// At most `limit` changes that are not settled, the earliest first.
pub(crate) async fn unsettled(
    database: &Database,
    limit: u32,
    deadline: Deadline,
) -> Result<Vec<AccountChange>, ReadError> {
    let rows = database.query(UNSETTLED, params![limit], deadline).await?;
    rows.iter().map(account_change).collect()
}

fn account_change(row: &Row) -> Result<AccountChange, ReadError> {
    Ok(AccountChange {
        id: row.get(0)?,
        account: row.get(1)?,
        kind: change_kind(row, 2)?,
        version: row.get(3)?,
        kept_session: row.get(4)?,
    })
}

fn change_kind(row: &Row, column: usize) -> Result<ChangeKind, ReadError> {
    let wrong = ReadError::Column { column, expected: "a kind of change" };
    row.get::<String>(column)?.parse().or(Err(wrong))
}

fn credentials(row: &Row) -> Result<(Account, PasswordHash), ReadError> {
    Ok((account(row)?, PasswordHash::stored(row.get(HASH)?)))
}

fn account(row: &Row) -> Result<Account, ReadError> {
    Ok(Account {
        id: row.get(0)?,
        email: Email::kept(row.get(1)?),
        name: Name::kept(row.get(2)?),
        role: role(row, 3)?,
        created_at: row.get(4)?,
        version: row.get(5)?,
    })
}

fn role(row: &Row, column: usize) -> Result<Role, ReadError> {
    row.get::<String>(column)?.parse().or(Err(ReadError::Column { column, expected: "a role" }))
}
