use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use runtime::Deadline;
use rusqlite::ffi;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, OpenFlags, ToSql, params_from_iter};
use tokio::time::Instant;
use uuid::Uuid;

use crate::batch::{Expected, Statement};
use crate::row::MOST_ROWS;
use crate::{CommitError, Dialect, OpenError, ReadError, Row, Sql, SqliteConfig, Timeouts, Value};

/// The longest pause between two looks at whether another process still holds the file; a commit takes about this.
pub(super) const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// Texts a connection keeps prepared: more than a service has.
const PREPARED: usize = 256;

/// A file that grew during a checkpoint is cut back to this when it starts over.
const WAL_LIMIT: i64 = 64 * 1024 * 1024;

/// How many steps of its virtual machine SQLite does between two looks at the clock: well under a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// One connection to the file, which stops a statement that takes too long.
pub(super) struct Connection {
    sqlite: rusqlite::Connection,
    alarm: Alarm,
    statement_timeout: Duration,
    end: Option<Deadline>,
}

/// When the statement that runs is to be stopped, in microseconds after `origin`.
#[derive(Clone)]
struct Alarm {
    origin: Instant,
    at: Arc<AtomicU64>,
}

impl Alarm {
    fn set(&self, within: Duration) {
        let at = self.origin.elapsed().saturating_add(within);
        self.at.store(u64::try_from(at.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn rings(&self) -> bool {
        self.origin.elapsed().as_micros() > u128::from(self.at.load(Ordering::Relaxed))
    }
}

impl Connection {
    /// Nothing while another process has the whole file locked, as for a moment when it makes it.
    pub(super) fn open_writer(config: &SqliteConfig, timeouts: Timeouts) -> Result<Option<Self>, OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut mode = String::new();
        let opened = Self::open(config, flags, timeouts, |sqlite| {
            mode = sqlite.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
            // FULL syncs the log at each commit, and on macOS only this makes the drive write it down.
            sqlite.pragma_update(None, "synchronous", "FULL")?;
            sqlite.pragma_update(None, "fullfsync", true)?;
            sqlite.pragma_update(None, "foreign_keys", true)?;
            sqlite.pragma_update(None, "journal_size_limit", WAL_LIMIT)
        })?;
        match opened {
            Some(_) if mode != "wal" => Err(OpenError::Unsafe(format!(
                "SQLite keeps {} in journal mode {mode}, not wal: it must be on a local file system",
                config.path.display()
            ))),
            opened => Ok(opened),
        }
    }

    /// Nothing while another process has the whole file locked.
    pub(super) fn open_reader(config: &SqliteConfig, timeouts: Timeouts) -> Result<Option<Self>, OpenError> {
        // The log's shared memory must be writable even for readers, so the restraint is a pragma's.
        Self::open(config, OpenFlags::SQLITE_OPEN_READ_WRITE, timeouts, |sqlite| {
            sqlite.pragma_update(None, "query_only", true)
        })
    }

    fn open(
        config: &SqliteConfig,
        flags: OpenFlags,
        timeouts: Timeouts,
        set_up: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<()>,
    ) -> Result<Option<Self>, OpenError> {
        // Each connection has one thread or task, so SQLite's own mutexes would only cost.
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let mut sqlite = match &config.vfs {
                Some(vfs) => rusqlite::Connection::open_with_flags_and_vfs(&config.path, flags, vfs.as_str()),
                None => rusqlite::Connection::open_with_flags(&config.path, flags),
            }?;
            let alarm = Alarm { origin: Instant::now(), at: Arc::new(AtomicU64::new(u64::MAX)) };
            let rings = alarm.clone();
            // Whoever finds the file locked waits without holding up a thread: see `begin`.
            sqlite.busy_timeout(Duration::ZERO)?;
            sqlite.set_prepared_statement_cache_capacity(PREPARED);
            sqlite.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || rings.rings()))?;
            set_up(&sqlite)?;
            Ok(Self { sqlite, alarm, statement_timeout: timeouts.statement, end: None })
        };
        match open() {
            Ok(connection) => Ok(Some(connection)),
            Err(error) if is_busy(&error) => Ok(None),
            Err(error) if is_damage(&error) => Err(OpenError::Damaged(error.to_string())),
            Err(error) => Err(cannot_open(config, &error.to_string())),
        }
    }

    /// Runs `text`, which may hold several statements, without parameters.
    pub(super) fn execute_all(&self, text: &str, within: Duration) -> rusqlite::Result<()> {
        self.alarm.set(within);
        self.sqlite.execute_batch(text)
    }

    /// Begins the transaction of a group. `false` when another process is writing.
    pub(super) fn begin(&self) -> rusqlite::Result<bool> {
        self.alarm.set(self.statement_timeout);
        match self.sqlite.prepare_cached("BEGIN IMMEDIATE")?.raw_execute() {
            Ok(_) => Ok(true),
            Err(error) if is_busy(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A word of transaction control.
    pub(super) fn control(&self, word: &'static str) -> rusqlite::Result<()> {
        self.sqlite.prepare_cached(word)?.raw_execute().map(drop)
    }

    /// Whether the last statement took longer than it may.
    pub(super) fn has_stopped_a_statement(&self) -> bool {
        self.alarm.rings()
    }

    /// Whether SQLite has given up the transaction by itself, as it does when the disk fails or is full, or when
    /// a statement was stopped in the middle of a change.
    pub(super) fn lost_its_transaction(&self) -> bool {
        self.sqlite.is_autocommit()
    }

    /// Runs the batch's statement number `index`, and sees whether it came to what it must.
    pub(super) fn run(&self, index: usize, statement: &Statement) -> Result<(), CommitError> {
        let expected = statement.expected;
        let rows = match expected {
            Some(Expected::Found(_) | Expected::Fence) => self.count(statement.sql, &statement.params),
            Some(Expected::Touched(_)) | None => self.touch(statement.sql, &statement.params),
        };
        let rows = rows.map_err(|error| commit_error(index, &error))?;
        match expected {
            Some(expected) if expected.rows() != rows => Err(expected.missed(index, rows)),
            _ => Ok(()),
        }
    }

    /// How many rows `sql` touches.
    pub(super) fn touch(&self, sql: Sql, params: &[Value]) -> rusqlite::Result<u64> {
        let rows = self.prepare(sql)?.execute(params_from_iter(params))?;
        Ok(rows as u64)
    }

    /// How many rows the query finds.
    fn count(&self, sql: Sql, params: &[Value]) -> rusqlite::Result<u64> {
        let mut statement = self.prepare(sql)?;
        let mut rows = statement.query(params_from_iter(params))?;
        let mut count = 0;
        while rows.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    /// The rows the query finds, or nothing if there are more than [`MOST_ROWS`].
    pub(super) fn find(&self, sql: Sql, params: &[Value]) -> rusqlite::Result<Option<Vec<Row>>> {
        let mut statement = self.prepare(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(params))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            if found.len() == MOST_ROWS {
                return Ok(None);
            }
            let values: rusqlite::Result<_> =
                (0..columns).map(|column| row.get_ref(column).map(value_of)).collect();
            found.push(Row::new(values?));
        }
        Ok(Some(found))
    }

    /// No statement runs beyond `end`.
    pub(super) fn bound_statements(&mut self, end: Option<Deadline>) {
        self.end = end;
    }

    fn prepare(&self, sql: Sql) -> rusqlite::Result<CachedStatement<'_>> {
        let left = self.end.map_or(Duration::MAX, Deadline::remaining);
        self.alarm.set(self.statement_timeout.min(left));
        self.sqlite.prepare_cached(sql.text(Dialect::Sqlite))
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Bool(it) => ValueRef::Integer((*it).into()),
            Self::Int(it) => ValueRef::Integer(*it),
            Self::Text(it) => ValueRef::Text(it.as_bytes()),
            Self::Bytes(it) => ValueRef::Blob(it),
            Self::Uuid(it) => ValueRef::Blob(Uuid::as_bytes(it)),
        }))
    }
}

fn value_of(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(it) => Value::Int(it),
        // Our tables are STRICT and have no such column; as text it fails where the code reads it.
        ValueRef::Real(it) => Value::Text(it.to_string()),
        ValueRef::Text(it) => Value::Text(String::from_utf8_lossy(it).into_owned()),
        ValueRef::Blob(it) => Value::Bytes(it.to_owned()),
    }
}

pub(super) fn cannot_open(config: &SqliteConfig, reason: &str) -> OpenError {
    OpenError::Connect { database: format!("sqlite:{}", config.path.display()), reason: reason.to_owned() }
}

fn extended_code(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|sqlite| sqlite.extended_code)
}

/// The primary result code, which is the low byte of the extended one.
fn primary_code(error: &rusqlite::Error) -> Option<i32> {
    extended_code(error).map(|code| code & 0xff)
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(primary_code(error), Some(ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(primary_code(error), Some(ffi::SQLITE_NOTADB | ffi::SQLITE_CORRUPT))
}

/// Why it cannot be told which migrations were applied.
pub(super) fn record_error(error: &rusqlite::Error) -> OpenError {
    if is_damage(error) { OpenError::Damaged(error.to_string()) } else { OpenError::record(error) }
}

pub(super) fn commit_error(statement: usize, error: &rusqlite::Error) -> CommitError {
    let message = error.to_string();
    match extended_code(error) {
        Some(ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => CommitError::Constraint("foreign_key".to_owned()),
        Some(code) => match constraint_name(code, &message) {
            Some(name) => CommitError::Constraint(name),
            None if is_busy(error) => CommitError::Busy,
            None if is_outage(code) => CommitError::Unavailable(message),
            None => CommitError::Rejected { statement, reason: message },
        },
        None => CommitError::Rejected { statement, reason: message },
    }
}

pub(super) fn read_error(error: &rusqlite::Error) -> ReadError {
    let is_away = is_busy(error) || extended_code(error).is_some_and(is_outage);
    let wrap = if is_away { ReadError::Unavailable } else { ReadError::Rejected };
    wrap(error.to_string())
}

/// What the statement is not to blame for: a stopped statement, a failing or full disk.
fn is_outage(code: i32) -> bool {
    matches!(
        code & 0xff,
        ffi::SQLITE_INTERRUPT
            | ffi::SQLITE_IOERR
            | ffi::SQLITE_FULL
            | ffi::SQLITE_NOMEM
            | ffi::SQLITE_CANTOPEN
    )
}

/// PostgreSQL's name for the constraint. SQLite tells it in the message alone, which its documentation fixes
/// as `UNIQUE constraint failed: table.column, table.column` and the like; this is the one place that reads it.
fn constraint_name(code: i32, message: &str) -> Option<String> {
    let (_, what) = message.split_once("constraint failed: ")?;
    let columns: Vec<&str> =
        what.split(", ").map(|column| column.rsplit('.').next().unwrap_or(column)).collect();
    let table = what.split('.').next()?;
    match code {
        ffi::SQLITE_CONSTRAINT_UNIQUE => Some(format!("{table}_{}_key", columns.join("_"))),
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => Some(format!("{table}_pkey")),
        ffi::SQLITE_CONSTRAINT_NOTNULL => Some(format!("{table}_{}_not_null", columns.join("_"))),
        ffi::SQLITE_CONSTRAINT_CHECK => Some(what.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constraint_has_postgresqls_name() {
        let name = |code, message: &str| constraint_name(code, message);
        let unique = ffi::SQLITE_CONSTRAINT_UNIQUE;
        assert_eq!(name(unique, "UNIQUE constraint failed: users.email").as_deref(), Some("users_email_key"));
        let two = "UNIQUE constraint failed: events.stream, events.version";
        assert_eq!(name(unique, two).as_deref(), Some("events_stream_version_key"));
        let check = name(ffi::SQLITE_CONSTRAINT_CHECK, "CHECK constraint failed: users_role_check");
        assert_eq!(check.as_deref(), Some("users_role_check"));
        assert_eq!(name(ffi::SQLITE_CONSTRAINT_DATATYPE, "cannot store TEXT value in INTEGER column"), None);
    }
}
