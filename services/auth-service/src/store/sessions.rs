use database::{Batch, Database, ReadError, Row, Sql, params};
use runtime::Deadline;
use types::{Network, SessionId, Timestamp, UserId};
use uuid::Uuid;

use crate::refresh::{Presented, Spent, Successor};
use crate::refresh_token::TokenHash;
use crate::revocation;
use crate::session::{LoginName, MOST_SESSIONS, Origin, Session, UserAgent};

/// The moment at which sessions end, and what follows from it for their access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// When.
    pub(crate) now: Timestamp,
    /// Until when the revocations matter.
    pub(crate) until: Timestamp,
    /// Sessions that were used before have no token that is good.
    pub(crate) used_since: Timestamp,
}

impl Ending {
    pub(crate) fn at(now: Timestamp) -> Self {
        let (until, used_since) = (revocation::matters_until(now), revocation::has_tokens_since(now));
        Self { now, until, used_since }
    }
}

const KNOW: Sql =
    Sql::new("INSERT INTO accounts (id, least_version) VALUES ($1, 1) ON CONFLICT (id) DO NOTHING");

/// Holds the row against everybody else who changes something of the user's sessions.
const ADMIT: Sql = Sql::per_dialect(
    "SELECT 1 FROM accounts WHERE id = $1 AND least_version <= $2 FOR UPDATE",
    "SELECT 1 FROM accounts WHERE id = $1 AND least_version <= $2",
);

const RAISE: Sql = Sql::new(
    "INSERT INTO accounts (id, least_version) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE \
     SET least_version = excluded.least_version WHERE accounts.least_version < excluded.least_version",
);

const INSERT_SESSION: Sql = Sql::new(
    "INSERT INTO sessions \
     (id, user_id, version, created_at, used_at, expires_at, ended, login, address, network, user_agent) \
     VALUES ($1, $2, $3, $4, $5, $6, FALSE, $7, $8, $9, $10)",
);

const INSERT_TOKEN: Sql =
    Sql::new("INSERT INTO refresh_tokens (hash, session_id, issued_at, again) VALUES ($1, $2, $3, FALSE)");

const SPEND: Sql =
    Sql::new("UPDATE refresh_tokens SET spent_at = $1, successor = $2 WHERE hash = $3 AND spent_at IS NULL");

const SPEND_AGAIN: Sql = Sql::new(
    "UPDATE refresh_tokens SET successor = $1, again = TRUE WHERE hash = $2 AND successor = $3 AND NOT again",
);

const VOID: Sql = Sql::new("UPDATE refresh_tokens SET spent_at = $1 WHERE hash = $2 AND spent_at IS NULL");

const USE: Sql = Sql::new("UPDATE sessions SET used_at = $1, expires_at = $2 WHERE id = $3 AND NOT ended");

const PRESENTED: Sql = Sql::new(
    "SELECT token.spent_at, token.successor, token.again, successor.spent_at, \
            session.id, session.user_id, session.created_at, session.expires_at, session.ended \
     FROM refresh_tokens token \
     JOIN sessions session ON session.id = token.session_id \
     LEFT JOIN refresh_tokens successor ON successor.hash = token.successor \
     WHERE token.hash = $1",
);

// Revoking stands before ending, after which nothing would tell which sessions it was.

const REVOKE: Sql = Sql::new(
    "INSERT INTO revocations (id, recorded_at, session_id, until) \
     SELECT id, CAST($1 AS BIGINT), id, CAST($2 AS BIGINT) FROM sessions WHERE id = $3 AND NOT ended \
     ON CONFLICT (id) DO NOTHING",
);

const END: Sql = Sql::new("UPDATE sessions SET ended = TRUE, expires_at = $1 WHERE id = $2 AND NOT ended");

const REVOKE_OWN: Sql = Sql::new(
    "INSERT INTO revocations (id, recorded_at, session_id, until) \
     SELECT id, CAST($1 AS BIGINT), id, CAST($2 AS BIGINT) FROM sessions \
     WHERE id = $3 AND user_id = $4 AND NOT ended AND expires_at > $1 ON CONFLICT (id) DO NOTHING",
);

const END_OWN: Sql = Sql::new(
    "UPDATE sessions SET ended = TRUE, expires_at = $1 \
     WHERE id = $2 AND user_id = $3 AND NOT ended AND expires_at > $1",
);

const REVOKE_OLDER: Sql = Sql::new(
    "INSERT INTO revocations (id, recorded_at, session_id, until) \
     SELECT id, CAST($1 AS BIGINT), id, CAST($2 AS BIGINT) FROM sessions \
     WHERE user_id = $3 AND version < $4 AND id <> $5 AND used_at >= $6 AND NOT ended \
     ON CONFLICT (id) DO NOTHING",
);

const END_OLDER: Sql = Sql::new(
    "UPDATE sessions SET ended = TRUE, expires_at = $1 \
     WHERE user_id = $2 AND version < $3 AND id <> $4 AND NOT ended",
);

/// LIMIT because SQLite has no OFFSET without one: no user has more sessions than that.
const REVOKE_SURPLUS: Sql = Sql::new(
    "INSERT INTO revocations (id, recorded_at, session_id, until) \
     SELECT id, CAST($1 AS BIGINT), id, CAST($2 AS BIGINT) FROM sessions WHERE NOT ended AND id IN \
     (SELECT id FROM sessions WHERE user_id = $3 AND NOT ended AND expires_at > $1 \
      ORDER BY created_at DESC, id DESC LIMIT 1000 OFFSET $4) \
     ON CONFLICT (id) DO NOTHING",
);

const END_SURPLUS: Sql = Sql::new(
    "UPDATE sessions SET ended = TRUE, expires_at = $1 WHERE NOT ended AND id IN \
     (SELECT id FROM sessions WHERE user_id = $2 AND NOT ended AND expires_at > $1 \
      ORDER BY created_at DESC, id DESC LIMIT 1000 OFFSET $3)",
);

const LIVE: Sql = Sql::new(
    "SELECT id, user_id, version, created_at, used_at, expires_at, address, user_agent FROM sessions \
     WHERE user_id = $1 AND NOT ended AND expires_at > $2 ORDER BY created_at DESC, id DESC",
);

const LEAST_VERSION: Sql = Sql::new("SELECT least_version FROM accounts WHERE id = $1");

const IS_LIVE: Sql = Sql::new("SELECT 1 FROM sessions WHERE id = $1 AND NOT ended AND expires_at > $2");

const IS_KNOWN: Sql = Sql::new("SELECT 1 FROM sessions WHERE login = $1 AND network = $2 LIMIT 1");

/// Lets the batch begin a session with its first token, unless the account has changed since `session.version` in a
/// way that ends sessions: then it touches no row of `accounts` and fails. The oldest session makes room.
pub(crate) fn begin(batch: &mut Batch, session: &Session, login: &LoginName, token: &TokenHash) {
    let Session { id, user, version, created_at, used_at, expires_at, origin } = session;
    let (ending, others) = (Ending::at(*created_at), MOST_SESSIONS - 1);
    locked(batch, *user).run(KNOW, params![*user]).require(1, ADMIT, params![*user, *version]);
    batch.run(REVOKE_SURPLUS, params![ending.now, ending.until, *user, others]);
    batch.run(END_SURPLUS, params![ending.now, *user, others]);
    let mut row = params![*id, *user, *version, *created_at, *used_at, *expires_at, login.as_bytes()];
    row.extend(params![origin.address.to_string(), origin.network().to_string(), origin.user_agent.as_str()]);
    batch.expect(1, INSERT_SESSION, row);
    batch.expect(1, INSERT_TOKEN, params![token.as_bytes(), *id, *created_at]);
}

/// How a session goes on with another token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Renewed {
    /// The account's version now.
    pub(crate) version: i64,
    /// The token that takes the place of the presented one.
    pub(crate) token: TokenHash,
    /// When.
    pub(crate) now: Timestamp,
    /// When the session ends unless it is used again.
    pub(crate) expires_at: Timestamp,
}

/// Puts another token in the place of the presented one, if that is still new and its session goes on.
pub(crate) fn rotate(batch: &mut Batch, presented: &Presented, renewed: &Renewed) {
    go_on(batch, presented, renewed);
    let spent = params![renewed.now, renewed.token.as_bytes(), presented.token.as_bytes()];
    batch.expect(1, SPEND, spent);
}

/// Puts another token in the place of `void`, which had that of the presented one, if nobody has used either since.
pub(crate) fn rotate_again(batch: &mut Batch, presented: &Presented, void: &TokenHash, renewed: &Renewed) {
    go_on(batch, presented, renewed);
    let spent = params![renewed.token.as_bytes(), presented.token.as_bytes(), void.as_bytes()];
    batch.expect(1, SPEND_AGAIN, spent).expect(1, VOID, params![renewed.now, void.as_bytes()]);
}

fn go_on(batch: &mut Batch, presented: &Presented, renewed: &Renewed) {
    let Renewed { version, token, now, expires_at } = renewed;
    locked(batch, presented.user).require(1, ADMIT, params![presented.user, *version]);
    batch.expect(1, USE, params![*now, *expires_at, presented.session]);
    batch.expect(1, INSERT_TOKEN, params![token.as_bytes(), presented.session, *now]);
}

/// Ends a session of `user`, if it has not ended.
pub(crate) fn end_session(batch: &mut Batch, user: UserId, session: SessionId, ending: Ending) {
    locked(batch, user).run(REVOKE, params![ending.now, ending.until, session]);
    batch.run(END, params![ending.now, session]);
}

/// Ends a session, if it is one that `user` has.
pub(crate) fn end_own(batch: &mut Batch, user: UserId, session: SessionId, ending: Ending) {
    locked(batch, user).run(REVOKE_OWN, params![ending.now, ending.until, session, user]);
    batch.expect(1, END_OWN, params![ending.now, session, user]);
}

/// Lets nothing begin any more that was proven for a version of the account below `version`.
pub(crate) fn raise(batch: &mut Batch, user: UserId, version: i64) {
    locked(batch, user).run(RAISE, params![user, version]);
}

/// Ends the user's sessions that began with an older version of the account than `version`, except `kept`.
pub(crate) fn end_older(
    batch: &mut Batch,
    user: UserId,
    version: i64,
    kept: Option<SessionId>,
    ending: Ending,
) {
    // No session has this id.
    let kept = kept.map_or(Uuid::nil(), SessionId::uuid);
    let Ending { now, until, used_since } = ending;
    locked(batch, user).run(REVOKE_OLDER, params![now, until, user, version, kept, used_since]);
    batch.run(END_OLDER, params![now, user, version, kept]);
}

/// Batches that change something of one user's sessions have one key. Whatever begins sessions, renews them or raises the
/// version locks the user's row of `accounts` besides, so that nothing begins or goes on beside the end of all:
/// [`begin`], [`rotate`], [`rotate_again`] and [`raise`], with which [`end_older`] shares its batch. [`end_session`] and
/// [`end_own`] need not. They end one session, by an update of its row; a renewal expects to find that row not ended, so
/// that it comes before and what it makes is revoked with the session, or it fails.
fn locked(batch: &mut Batch, user: UserId) -> &mut Batch {
    batch.key(format_args!("account:{user}"))
}

/// What is known of a refresh token that somebody presents.
pub(crate) async fn presented(
    database: &Database,
    token: TokenHash,
    deadline: Deadline,
) -> Result<Option<Presented>, ReadError> {
    let row = database.query_opt(PRESENTED, params![token.as_bytes()], deadline).await?;
    row.map(|row| of_row(token, &row)).transpose()
}

/// The sessions that `user` has at `now`, the newest first.
pub(crate) async fn live(
    database: &Database,
    user: UserId,
    now: Timestamp,
    deadline: Deadline,
) -> Result<Vec<Session>, ReadError> {
    let rows = database.query(LIVE, params![user, now], deadline).await?;
    rows.iter().map(session).collect()
}

/// The version below which nothing begins that was proven for the account of `user`, if that is known.
pub(crate) async fn least_version(
    database: &Database,
    user: UserId,
    deadline: Deadline,
) -> Result<Option<i64>, ReadError> {
    let row = database.query_opt(LEAST_VERSION, params![user], deadline).await?;
    row.map(|row| row.get(0)).transpose()
}

/// Whether the session goes on at `now`.
pub(crate) async fn is_live(
    database: &Database,
    session: SessionId,
    now: Timestamp,
    deadline: Deadline,
) -> Result<bool, ReadError> {
    Ok(database.query_opt(IS_LIVE, params![session, now], deadline).await?.is_some())
}

/// Whether somebody has logged in by this name from this network, as far as is remembered.
pub(crate) async fn is_known(
    database: &Database,
    login: &LoginName,
    network: Network,
    deadline: Deadline,
) -> Result<bool, ReadError> {
    let params = params![login.as_bytes(), network.to_string()];
    Ok(database.query_opt(IS_KNOWN, params, deadline).await?.is_some())
}

fn of_row(token: TokenHash, row: &Row) -> Result<Presented, ReadError> {
    Ok(Presented {
        token,
        spent: spent(row)?,
        session: row.get(4)?,
        user: row.get(5)?,
        created_at: row.get(6)?,
        expires_at: row.get(7)?,
        ended: row.get(8)?,
    })
}

fn spent(row: &Row) -> Result<Option<Spent>, ReadError> {
    let Some(at) = row.get(0)? else { return Ok(None) };
    let used = row.get::<Option<Timestamp>>(3)?.is_some();
    let successor = row.get::<Option<Vec<u8>>>(1)?.map(|bytes| hash(&bytes, 1)).transpose()?;
    let successor = successor.map(|token| Successor { token, used });
    Ok(Some(Spent { at, successor, again: row.get(2)? }))
}

fn hash(bytes: &[u8], column: usize) -> Result<TokenHash, ReadError> {
    TokenHash::kept(bytes).ok_or(ReadError::Column { column, expected: "a SHA-256 hash" })
}

fn session(row: &Row) -> Result<Session, ReadError> {
    let address = row.get::<String>(6)?.parse();
    let address = address.or(Err(ReadError::Column { column: 6, expected: "an IP address" }))?;
    Ok(Session {
        id: row.get(0)?,
        user: row.get(1)?,
        version: row.get(2)?,
        created_at: row.get(3)?,
        used_at: row.get(4)?,
        expires_at: row.get(5)?,
        origin: Origin { address, user_agent: UserAgent::kept(row.get(7)?) },
    })
}
