use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::batch::Expected;
use crate::{CommitError, ReadError};

/// What `flotilla_expect` raises.
const WRONG_COUNT: &str = "FL001";

/// What an error says about the connection it came over.
pub(super) enum Trouble {
    /// The server refused the statement and goes on.
    Refused(Box<DbError>),
    /// Nothing more is to be had from this connection.
    Lost(String),
}

impl Trouble {
    pub(super) fn of(error: &Error) -> Self {
        match error.as_db_error() {
            Some(refused) if !ends_connection(refused) => Self::Refused(Box::new(refused.clone())),
            _ => Self::Lost(text(error)),
        }
    }
}

/// The error with what caused it: the driver's own texts name only the kind.
pub(super) fn text(error: &Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Whether the server is going, has gone, or is no longer the one that takes writes.
fn ends_connection(error: &DbError) -> bool {
    /// "Connection exception".
    const CONNECTION: &str = "08";
    let code = error.code();
    matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
        || code.code().starts_with(CONNECTION)
        || [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ]
        .contains(code)
}

/// What the server's refusal of a batch's `statement` means for the batch.
pub(super) fn commit_error(statement: usize, expected: Option<Expected>, error: &DbError) -> CommitError {
    let code = error.code();
    let reason = || format!("{} ({})", error.message(), code.code());
    match (code.code(), expected) {
        (WRONG_COUNT, Some(expected)) => {
            expected.missed(statement, error.detail().and_then(|count| count.parse().ok()).unwrap_or(0))
        }
        _ if is_contention(code) => CommitError::Busy,
        _ if is_outage(code) => CommitError::Unavailable(reason()),
        _ => match constraint_name(error) {
            Some(name) => CommitError::Constraint(name),
            None => CommitError::Rejected { statement, reason: reason() },
        },
    }
}

pub(super) fn read_error(error: &DbError) -> ReadError {
    let reason = format!("{} ({})", error.message(), error.code().code());
    if is_contention(error.code()) || is_outage(error.code()) {
        ReadError::Unavailable(reason)
    } else {
        ReadError::Rejected(reason)
    }
}

/// Others hold what it needs.
fn is_contention(code: &SqlState) -> bool {
    [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE]
        .contains(code)
}

/// What the statement is not to blame for: its time is up, or the server lacks memory, disk or connections.
fn is_outage(code: &SqlState) -> bool {
    const INSUFFICIENT_RESOURCES: &str = "53";
    *code == SqlState::QUERY_CANCELED || code.code().starts_with(INSUFFICIENT_RESOURCES)
}

fn constraint_name(error: &DbError) -> Option<String> {
    const INTEGRITY: &str = "23";
    let code = error.code();
    if *code == SqlState::FOREIGN_KEY_VIOLATION {
        return Some("foreign_key".to_owned());
    }
    if *code == SqlState::NOT_NULL_VIOLATION {
        return Some(format!("{}_{}_not_null", error.table()?, error.column()?));
    }
    error.constraint().filter(|_| code.code().starts_with(INTEGRITY)).map(str::to_owned)
}
