//! One group as one transaction.

use std::ops::Range;
use std::time::Duration;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::connection::Connection;
use super::error::{Trouble, commit_error};
use super::pipeline::Pipeline;
use super::receipt::LEAVE;
use crate::batch::Statement;
use crate::group::Pending;
use crate::{CommitError, Value, params};

/// Batches of a group that stand behind one savepoint and leave one receipt: they happen together or not at
/// all, whatever becomes of the other shares of the transaction.
pub(super) struct Share {
    pub(super) batches: Range<usize>,
    pub(super) receipt: Uuid,
    leave: Vec<Value>,
}

/// Held by the one group of crowded batches that runs, of all processes: "flotilla" as eight bytes of a number.
const TURN: &str = "SELECT pg_advisory_xact_lock(7380396435129003105)";

/// How a group begins.
#[derive(Clone, Debug)]
pub(super) enum Opening {
    AtOnce,
    /// After the others that take turns.
    InTurn(String),
}

impl Opening {
    /// Waits `turn` for its turn, and then `row` for each row.
    pub(super) fn in_turn(turn: Duration, row: Duration) -> Self {
        let wait = |time: Duration| format!("SET LOCAL lock_timeout = {}", time.as_millis());
        Self::InTurn(format!("BEGIN; {}; {TURN}; {}", wait(turn), wait(row)))
    }

    fn words(&self) -> &str {
        match self {
            Self::AtOnce => "BEGIN",
            Self::InTurn(words) => words,
        }
    }
}

/// What became of a share.
pub(super) enum Verdict {
    Committed,
    /// Nothing of it happened, because its turn did not come.
    NoTurn,
    /// Nothing of it happened, because the batch at this place of the group failed.
    FailedBy(usize, CommitError),
    /// Nothing of it happened, for no batch's fault.
    NotCommitted,
}

impl Share {
    /// Shares of `size` batches; each takes away the receipt that one before it left on this connection.
    pub(super) fn divide(
        batches: usize,
        size: usize,
        connection: &Connection,
        mut id: impl FnMut() -> Uuid,
    ) -> Vec<Self> {
        let share = |(at, start): (usize, usize)| {
            let receipt = id();
            let leave = params![connection.last_receipt(at), receipt];
            Self { batches: start..batches.min(start + size), receipt, leave }
        };
        (0..batches).step_by(size).enumerate().map(share).collect()
    }
}

/// Runs the group, whose statements have been prepared, in one round trip.
///
/// After a share come `SAVEPOINT s` and `ROLLBACK TO s`. If all went well, the savepoint is taken after the
/// share, so that rolling back to it changes nothing. If not, taking it fails like everything in a failed
/// transaction, and rolling back goes to the savepoint of the same name that was taken before the share.
///
/// # Errors
/// The reason why it is not known what happened.
pub(super) async fn run(
    connection: &Connection,
    group: &[Pending],
    shares: &[Share],
    opening: &Opening,
) -> Result<Vec<Verdict>, String> {
    let client = connection.client();
    // The only share needs no savepoint: what it fails is the transaction.
    let apart = shares.len() > 1;
    let mut pipeline = Pipeline::default();
    pipeline.control(client, opening.words());
    if apart {
        pipeline.control(client, "SAVEPOINT s");
    }
    for share in shares {
        for (_, _, Statement { sql, params, expected }) in statements(group, share) {
            pipeline.statement(client, connection.prepared(*sql, *expected), params);
        }
        pipeline.statement(client, connection.prepared(LEAVE, None), &share.leave);
        if apart {
            pipeline.control(client, "SAVEPOINT s");
            pipeline.control(client, "ROLLBACK TO SAVEPOINT s");
        }
    }
    pipeline.control(client, "COMMIT");
    let mut answers = pipeline.run().await.into_iter();
    if !has_begun(&mut answers)? {
        return Ok(shares.iter().map(|_| Verdict::NoTurn).collect());
    }
    if apart {
        expect_done(&mut answers)?;
    }
    let verdicts: Result<_, _> =
        shares.iter().map(|share| verdict(group, share, apart, &mut answers)).collect();
    expect_done(&mut answers)?;
    verdicts
}

/// The statements of a share, each with its batch's place in the group and its own in the batch.
fn statements<'a>(
    group: &'a [Pending],
    share: &'a Share,
) -> impl Iterator<Item = (usize, usize, &'a Statement)> {
    share.batches.clone().flat_map(|at| {
        let statements = group[at].batch.statements.iter().enumerate();
        statements.map(move |(index, statement)| (at, index, statement))
    })
}

type Answer = Result<u64, Error>;

/// What became of the share whose answers come next.
fn verdict(
    group: &[Pending],
    share: &Share,
    apart: bool,
    answers: &mut impl Iterator<Item = Answer>,
) -> Result<Verdict, String> {
    let mut verdict = Verdict::Committed;
    for (batch, index, statement) in statements(group, share) {
        // What comes after a failure only says that the transaction has failed.
        if let (Some(Err(error)), Verdict::Committed) = (answers.next(), &verdict) {
            verdict = match Trouble::of(&error) {
                Trouble::Refused(refused) => {
                    Verdict::FailedBy(batch, commit_error(index, statement.expected, &refused))
                }
                Trouble::Lost(reason) => return Err(reason),
            };
        }
    }
    let has_failed = matches!(verdict, Verdict::FailedBy(..));
    for _ in 0..=usize::from(apart) {
        // The receipt, and where there are several shares the savepoint after it.
        if matches!(answers.next(), Some(Ok(_))) == has_failed {
            return Err("a receipt could not be left".to_owned());
        }
    }
    if apart {
        expect_done(answers)?;
    }
    Ok(verdict)
}

/// Whether the group's turn has come.
fn has_begun(answers: &mut impl Iterator<Item = Answer>) -> Result<bool, String> {
    match answers.next() {
        Some(Err(error)) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(false),
        other => expect_done(&mut other.into_iter()).map(|()| true),
    }
}

fn expect_done(answers: &mut impl Iterator<Item = Answer>) -> Result<(), String> {
    match answers.next() {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => match Trouble::of(&error) {
            Trouble::Refused(refused) => Err(refused.to_string()),
            Trouble::Lost(reason) => Err(reason),
        },
        None => Err("the server did not answer".to_owned()),
    }
}
