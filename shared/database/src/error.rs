use types::{Classify, ErrorClass};

use crate::postgres::TlsSetupError;

/// Why a batch, or a transaction, did not commit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A constraint stands against it. The name is PostgreSQL's, on SQLite too: `users_email_key` for a
    /// unique column, `users_pkey` for a primary key, `users_name_not_null`; a foreign key, which SQLite does
    /// not name, is `foreign_key` on both.
    #[error("constraint {0} stands against it")]
    Constraint(String),
    /// A statement touched another number of rows than it must: somebody was quicker.
    #[error("statement {statement} must touch {expected} rows and touched {actual}")]
    Count {
        /// Which of the batch's statements, from 0.
        statement: usize,
        /// How many rows it must touch.
        expected: u64,
        /// How many it did.
        actual: u64,
    },
    /// The lease it relies on has gone to another holder.
    #[error("its lease has gone to another holder")]
    Fenced,
    /// The database cannot run the statement as it is written or with these values: a fault of ours.
    #[error("statement {statement} cannot run: {reason}")]
    Rejected {
        /// Which of the batch's statements, from 0.
        statement: usize,
        /// What the database said.
        reason: String,
    },
    /// It holds more than a group may.
    #[error("{statements} statements with {bytes} bytes are more than a batch may hold")]
    TooLarge {
        /// Its statements.
        statements: usize,
        /// The bytes of its parameters.
        bytes: usize,
    },
    /// As many batches wait as may; it did not happen.
    #[error("too many batches are waiting")]
    Overloaded,
    /// Others held its rows until too little was left of its time for another try; it did not happen.
    #[error("others held its rows for as long as it had time")]
    Busy,
    /// The deadline passed, or the database was away, before it began; it did not happen.
    #[error("the database was not reached in time: {0}")]
    Unavailable(String),
    /// The answer was lost and could not be found out in time; it may have happened.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
}

impl CommitError {
    /// The disk failed at the commit. One error goes to every caller of a group, so it is kept as its text.
    pub(crate) fn unknown(error: &dyn std::error::Error) -> Self {
        Self::Unknown(error.to_string())
    }

    /// Whether the constraint called `name` stood against it.
    pub fn violates(&self, name: &str) -> bool {
        matches!(self, Self::Constraint(constraint) if constraint == name)
    }
}

impl Classify for CommitError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Constraint(_) => ErrorClass::Conflict,
            Self::Count { .. } | Self::Fenced => ErrorClass::Precondition,
            Self::TooLarge { .. } => ErrorClass::TooLarge,
            Self::Overloaded | Self::Busy | Self::Unavailable(_) => ErrorClass::Unavailable,
            Self::Unknown(_) => ErrorClass::Unknown,
            Self::Rejected { .. } => ErrorClass::Internal,
        }
    }
}

/// Why a query gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No connection was free, or the database was away, before the deadline.
    #[error("the database was not reached in time: {0}")]
    Unavailable(String),
    /// The database cannot run the query as it is written or with these values: a fault of ours.
    #[error("the query cannot run: {0}")]
    Rejected(String),
    /// The answer holds more rows than a caller may ask for at once: a page without a limit.
    #[error("the answer has more than {0} rows")]
    TooManyRows(usize),
    /// A column holds something else than the code reads: a fault of ours.
    #[error("column {column} does not hold {expected}")]
    Column {
        /// Its position, from 0.
        column: usize,
        /// What the code reads.
        expected: &'static str,
    },
}

impl From<ReadError> for CommitError {
    /// What a read inside a transaction means for the transaction: it does not commit.
    fn from(read: ReadError) -> Self {
        match read {
            ReadError::Unavailable(reason) => Self::Unavailable(reason),
            other => Self::Rejected { statement: 0, reason: other.to_string() },
        }
    }
}

impl Classify for ReadError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Unavailable(_) => ErrorClass::Unavailable,
            Self::Rejected(_) | Self::TooManyRows(_) | Self::Column { .. } => ErrorClass::Internal,
        }
    }
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It could not be reached, or refused us.
    #[error("connecting to {database}: {reason}")]
    Connect {
        /// Where it is, without secrets.
        database: String,
        /// What went wrong.
        reason: String,
    },
    /// Its file is no database, or no longer a whole one; no later try repairs it.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// It would lose what it has acknowledged.
    #[error("{0}")]
    Unsafe(String),
    /// A migration that was applied is no longer what it was.
    #[error(
        "migration {version} ({name}) was applied with other text; add a new migration instead of editing one"
    )]
    Edited {
        /// Its number.
        version: u32,
        /// Its name.
        name: String,
    },
    /// The schema is newer than this program can work with.
    #[error(
        "the schema is at version {schema} and wants a program that knows version {wanted}; this one knows {known}"
    )]
    TooNew {
        /// The newest applied version.
        schema: u32,
        /// The least version a program must know.
        wanted: u32,
        /// What this program knows.
        known: u32,
    },
    /// The program's own migrations are not numbered 1, 2, 3 …
    #[error("migration {0} is out of order; number migrations 1, 2, 3 … without a gap")]
    Numbering(u32),
    /// A migration wants programs to know one that comes after it.
    #[error("migration {version} wants a program that knows migration {oldest_binary}, which comes after it")]
    OldestBinary {
        /// Its number.
        version: u32,
        /// What it wants known.
        oldest_binary: u32,
    },
    /// A migration makes a constraint that is only looked at when everything commits, for all who share it.
    #[error(
        "migration {version} ({name}) has a DEFERRABLE constraint, which would fail the commit of others; leave the word out"
    )]
    Deferrable {
        /// Its number.
        version: u32,
        /// Its name.
        name: String,
    },
    /// A migration failed; nothing of it was kept.
    #[error("applying migration {version} ({name}): {reason}")]
    Migrate {
        /// Its number.
        version: u32,
        /// Its name.
        name: String,
        /// What the database said.
        reason: String,
    },
    /// The connection cannot be encrypted as it should be.
    #[error(transparent)]
    Tls(#[from] TlsSetupError),
    /// What was applied so far cannot be read or recorded.
    #[error("reading which migrations were applied: {0}")]
    Record(String),
    /// The operating system gave no thread or file.
    #[error("starting the database's tasks")]
    Start(#[from] std::io::Error),
}

impl OpenError {
    pub(crate) fn record(error: &dyn std::error::Error) -> Self {
        Self::Record(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_happen_and_what_may_have_are_told_apart() {
        let away = CommitError::Unavailable("away".to_owned());
        assert_eq!(away.class(), ErrorClass::Unavailable);
        assert_eq!(CommitError::Busy.class(), ErrorClass::Unavailable);
        assert_eq!(CommitError::Unknown("lost".to_owned()).class(), ErrorClass::Unknown);
        assert_eq!(CommitError::Fenced.class(), ErrorClass::Precondition);
    }
}
