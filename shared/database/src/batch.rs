use std::fmt::Display;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::lease::{self, Lease};
use crate::value::HAS_NUL;
use crate::{CommitError, Sql, Value, params};

/// A write: statements that take effect together or not at all.
///
/// ```
/// # use database::{Batch, Sql, params};
/// const RENAME: Sql = Sql::new("UPDATE users SET name = $1, version = version + 1 WHERE id = $2 AND version = $3");
///
/// let mut batch = Batch::new();
/// batch.key("user:7").expect(1, RENAME, params!["Ada", 7_i64, 3_i64]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(crate) keys: Vec<String>,
    pub(crate) statements: Vec<Statement>,
}

/// One statement of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) sql: Sql,
    pub(crate) params: Vec<Value>,
    pub(crate) expected: Option<Expected>,
}

/// What must be true of a statement's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Expected {
    /// It touches so many rows.
    Touched(u64),
    /// It is a query that finds so many rows.
    Found(u64),
    /// It is the query that finds the lease's row with the holder's fencing number.
    Fence,
}

impl Expected {
    pub(crate) fn rows(self) -> u64 {
        match self {
            Self::Touched(rows) | Self::Found(rows) => rows,
            Self::Fence => 1,
        }
    }

    /// The error of a statement, the batch's `statement`th, that came to `actual` rows.
    pub(crate) fn missed(self, statement: usize, actual: u64) -> CommitError {
        match self {
            Self::Fence => CommitError::Fenced,
            expected => CommitError::Count { statement, expected: expected.rows(), actual },
        }
    }
}

impl Batch {
    /// A group holds so many statements at the most, so a batch cannot hold more.
    pub(crate) const MOST_STATEMENTS: usize = 1_000;
    /// A group holds so many bytes of parameters at the most: what a connection buffers at once.
    pub(crate) const MOST_BYTES: usize = 1024 * 1024;

    /// An empty batch, which commits trivially.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names something whose rows this batch locks, such as `user:7`. Batches of one key go through one
    /// lane, and a group runs in key order, so that concurrent groups do not deadlock. Keys are a matter
    /// of speed: leaving one out costs waiting, never correctness.
    pub fn key(&mut self, key: impl Display) -> &mut Self {
        self.keys.push(key.to_string());
        self
    }

    /// Adds a statement that may touch any number of rows.
    pub fn run(&mut self, sql: Sql, params: Vec<Value>) -> &mut Self {
        self.add(sql, params, None)
    }

    /// Adds a statement that must touch exactly `rows` rows, or the batch fails with
    /// [`CommitError::Count`]. The statement has no `RETURNING`.
    pub fn expect(&mut self, rows: u64, sql: Sql, params: Vec<Value>) -> &mut Self {
        self.add(sql, params, Some(Expected::Touched(rows)))
    }

    /// Adds a query that must find exactly `rows` rows, or the batch fails with [`CommitError::Count`].
    pub fn require(&mut self, rows: u64, query: Sql, params: Vec<Value>) -> &mut Self {
        self.add(query, params, Some(Expected::Found(rows)))
    }

    /// Lets the batch commit only while `lease` is the newest of its name, or it fails with
    /// [`CommitError::Fenced`]: whoever was paused while its lease was taken over writes nothing.
    pub fn fenced_by(&mut self, lease: &Lease) -> &mut Self {
        self.add(lease::HOLDS, params![lease.name(), lease.fence()], Some(Expected::Fence))
    }

    fn add(&mut self, sql: Sql, params: Vec<Value>, expected: Option<Expected>) -> &mut Self {
        self.statements.push(Statement { sql, params, expected });
        self
    }

    /// Refuses what no group could ever hold, and text that PostgreSQL could not keep.
    pub(crate) fn check(&self) -> Result<(), CommitError> {
        let (statements, bytes) = (self.statements.len(), self.bytes());
        if statements > Self::MOST_STATEMENTS || bytes > Self::MOST_BYTES {
            return Err(CommitError::TooLarge { statements, bytes });
        }
        let has_nul = |statement: &Statement| statement.params.iter().any(Value::has_nul);
        match self.statements.iter().position(has_nul) {
            Some(statement) => Err(CommitError::Rejected { statement, reason: HAS_NUL.to_owned() }),
            None => Ok(()),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.statements.iter().flat_map(|statement| &statement.params).map(Value::size).sum()
    }

    pub(crate) fn shares_a_key_with(&self, other: &Self) -> bool {
        self.keys.iter().any(|key| other.keys.contains(key))
    }

    /// Where the batch stands in a group: by its least key, so that groups take their locks in one order.
    pub(crate) fn order(&self) -> Option<&String> {
        self.keys.iter().min()
    }

    /// Which of `lanes` it goes through: always the same for the same first key.
    pub(crate) fn lane(&self, lanes: usize) -> usize {
        let mut hasher = DefaultHasher::new();
        self.keys.first().hash(&mut hasher);
        usize::try_from(hasher.finish() % lanes as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const NOTE: Sql = Sql::new("INSERT INTO notes (text) VALUES ($1)");

    #[test]
    fn a_batch_that_no_group_could_hold_is_refused() {
        let mut long = Batch::new();
        (0..=Batch::MOST_STATEMENTS).for_each(|_| {
            long.run(NOTE, params![1_i64]);
        });
        let mut heavy = Batch::new();
        heavy.run(NOTE, params![vec![0; Batch::MOST_BYTES + 1]]);
        assert_eq!(long.check(), Err(CommitError::TooLarge { statements: 1_001, bytes: 8_008 }));
        assert_eq!(heavy.check(), Err(CommitError::TooLarge { statements: 1, bytes: Batch::MOST_BYTES + 1 }));
    }

    #[test]
    fn text_that_postgresql_could_not_keep_is_refused_on_both() {
        let mut batch = Batch::new();
        batch.run(NOTE, params!["fine"]).run(NOTE, params!["a\0b"]);
        let refused = batch.check();
        assert!(matches!(refused, Err(CommitError::Rejected { statement: 1, .. })), "{refused:?}");
    }

    #[test]
    fn one_key_always_takes_one_lane() {
        let lane = |keys: &[&str]| {
            let mut batch = Batch::new();
            keys.iter().for_each(|key| {
                batch.key(key);
            });
            batch.lane(4)
        };
        let lanes: BTreeSet<_> = (0..64).map(|n| lane(&[&format!("user:{n}")])).collect();
        assert_eq!(lanes, BTreeSet::from([0, 1, 2, 3]), "each is of use");
        assert_eq!(lane(&["user:7"]), lane(&["user:7", "user:8"]));
        assert_eq!(lane(&["user:7"]), lane(&["user:7", "user:9"]));
    }
}
