use std::time::Duration;

use database::{Batch, CommitError, Database, Sql, params};
use futures_util::future::join_all;
use uuid::Uuid;

use crate::world::{
    ADD, AMOUNT, COUNT, FULL, INSERT, LINE, World, commit, note, note_at, number, soon, until_full,
};

on_both! {
    one_batch_of_a_full_group_fails_alone_whatever_its_place_and_reason,
    many_failures_in_one_group_leave_the_others_alone,
    a_change_that_takes_too_long_fails_alone,
    a_batch_is_kept_whole_or_not_at_all,
    constraints_have_the_same_names,
    what_is_too_large_is_refused_and_what_is_empty_commits,
    a_closed_database_does_what_waited_and_refuses_the_rest,
}

/// Why a batch must fail, with what it must fail.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Constraint,
    Count,
    /// Seen before anything is sent, where the server tells its parameters' types.
    Type,
    /// Seen when the statement runs.
    Value,
}

const FAULTS: [Fault; 4] = [Fault::Constraint, Fault::Count, Fault::Type, Fault::Value];

/// Text for a whole number.
const MUCH: Sql = Sql::per_dialect(
    "INSERT INTO notes (id, name, amount) VALUES ($1, $2, CAST($3 || '' AS BIGINT))",
    "INSERT INTO notes (id, name, amount) VALUES ($1, $2, $3)",
);

impl Fault {
    /// Makes `batch`, which has one statement, fail.
    fn spoil(self, mut batch: Batch) -> Batch {
        match self {
            Self::Constraint => batch.run(INSERT, params![Uuid::max(), "taken", 1_i64, None::<i64>]),
            Self::Count => batch.expect(1, ADD, params![1_i64, Uuid::max()]),
            Self::Type => batch.run(INSERT, params![Uuid::max(), 7_i64, "much", None::<i64>]),
            Self::Value => batch.run(MUCH, params![Uuid::max(), "other", "much"]),
        };
        batch
    }

    fn is(self, outcome: &Result<(), CommitError>) -> bool {
        match (self, outcome) {
            (Self::Constraint, Err(error)) => error.violates("notes_name_key"),
            (Self::Count, Err(error)) => {
                *error == CommitError::Count { statement: 1, expected: 1, actual: 0 }
            }
            (Self::Type | Self::Value, Err(error)) => {
                matches!(error, CommitError::Rejected { statement: 1, .. })
            }
            (_, Ok(())) => false,
        }
    }
}

/// Commits all of them at the same moment.
async fn together(database: &Database, batches: Vec<Batch>) -> Vec<Result<(), CommitError>> {
    join_all(batches.into_iter().map(|batch| commit(database, batch))).await
}

async fn one_batch_of_a_full_group_fails_alone_whatever_its_place_and_reason(world: World) {
    let database = world.open().await;
    commit(&database, note(world.id(), "taken", 1)).await.unwrap();
    for fault in FAULTS {
        for place in 0..FULL {
            let attempt = async |number: usize| {
                let batch = |at: usize| {
                    let batch = note_at(at, world.id(), &format!("{fault:?} {place} {number} {at}"), 1);
                    if at == place { fault.spoil(batch) } else { batch }
                };
                together(&database, (0..FULL).map(batch).collect()).await
            };
            let outcomes = until_full(&world, &database, attempt).await;
            for (at, outcome) in outcomes.iter().enumerate() {
                let as_it_must = if at == place { fault.is(outcome) } else { *outcome == Ok(()) };
                assert!(as_it_must, "{fault:?} at {place} of {FULL}: batch {at} came to {outcome:?}");
            }
        }
    }
    let spoilt = Sql::new("SELECT count(*) FROM notes WHERE name IN ('other')");
    assert_eq!(number(&database, spoilt, vec![]).await, 0);
}

async fn many_failures_in_one_group_leave_the_others_alone(world: World) {
    let database = world.open().await;
    commit(&database, note(world.id(), "taken", 1)).await.unwrap();
    let before = number(&database, COUNT, vec![]).await;
    let fault_at = |at: usize| FAULTS.get(at % (FAULTS.len() + 1));
    let batch = |at: usize| {
        let batch = note_at(at, world.id(), &at.to_string(), 1);
        fault_at(at).map_or_else(|| batch.clone(), |fault| fault.spoil(batch.clone()))
    };
    let outcomes = together(&database, (0..FULL).map(batch).collect()).await;
    for (at, outcome) in outcomes.iter().enumerate() {
        let as_it_must = fault_at(at).map_or(*outcome == Ok(()), |fault| fault.is(outcome));
        assert!(as_it_must, "batch {at} came to {outcome:?}");
    }
    let kept = (0..FULL).filter(|at| fault_at(*at).is_none()).count();
    assert_eq!(number(&database, COUNT, vec![]).await - before, i64::try_from(kept).unwrap());
}

async fn a_change_that_takes_too_long_fails_alone(mut world: World) {
    /// Counts for longer than any test takes.
    const ENDLESS: Sql = Sql::new(
        "UPDATE notes SET amount = (WITH RECURSIVE n (i) AS \
             (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT count(*) FROM n) WHERE id = $1",
    );
    world.config.timeouts.statement = Duration::from_millis(300);
    let database = world.open().await;
    let id = world.id();
    commit(&database, note(id, "one", 1)).await.unwrap();
    let batch = |at: usize| {
        let mut batch = note(world.id(), &at.to_string(), 1);
        if at == 5 {
            batch.run(ENDLESS, params![id]);
        }
        batch
    };
    let outcomes = together(&database, (0..16).map(batch).collect()).await;
    for (at, outcome) in outcomes.iter().enumerate() {
        let as_it_must =
            if at == 5 { matches!(outcome, Err(CommitError::Unavailable(_))) } else { *outcome == Ok(()) };
        assert!(as_it_must, "batch {at} came to {outcome:?}");
    }
    assert_eq!(number(&database, COUNT, vec![]).await, 16);
}

async fn a_batch_is_kept_whole_or_not_at_all(world: World) {
    let database = world.open().await;
    let (one, other) = (world.id(), world.id());
    let mut whole = note(one, "one", 10);
    whole.run(INSERT, params![other, "other", 0_i64, None::<i64>]);
    whole.expect(1, ADD, params![5_i64, other]).require(1, AMOUNT, params![other]);
    commit(&database, whole).await.unwrap();
    let mut half = Batch::new();
    half.expect(1, ADD, params![1_i64, one]).expect(1, ADD, params![-100_i64, other]);
    let refused = commit(&database, half).await.unwrap_err();
    assert!(refused.violates("notes_amount_check"), "{refused:?}");
    let mut unmet = Batch::new();
    unmet.expect(1, ADD, params![1_i64, one]).require(0, AMOUNT, params![other]);
    let refused = commit(&database, unmet).await;
    assert_eq!(refused, Err(CommitError::Count { statement: 1, expected: 0, actual: 1 }));
    assert_eq!(number(&database, AMOUNT, params![one]).await, 10);
    assert_eq!(number(&database, AMOUNT, params![other]).await, 5);
}

async fn constraints_have_the_same_names(world: World) {
    let database = world.open().await;
    let id = world.id();
    commit(&database, note(id, "one", 1)).await.unwrap();
    let insert = |id: Uuid, name: Option<&str>, amount: i64| {
        let mut batch = Batch::new();
        batch.run(INSERT, params![id, name, amount, None::<i64>]);
        batch
    };
    let mut orphan = Batch::new();
    orphan.run(LINE, params![world.id(), "nobody's"]);
    for (batch, constraint) in [
        (insert(id, Some("two"), 1), "notes_pkey"),
        (insert(world.id(), Some("one"), 1), "notes_name_key"),
        (insert(world.id(), Some("two"), -1), "notes_amount_check"),
        (insert(world.id(), None, 1), "notes_name_not_null"),
        (orphan, "foreign_key"),
    ] {
        assert_eq!(commit(&database, batch).await, Err(CommitError::Constraint(constraint.to_owned())));
    }
}

async fn what_is_too_large_is_refused_and_what_is_empty_commits(world: World) {
    let database = world.open().await;
    let mut large = Batch::new();
    large.run(INSERT, params![world.id(), "large", 1_i64, vec![0_u8; 1024 * 1024]]);
    let refused = commit(&database, large).await;
    assert!(matches!(refused, Err(CommitError::TooLarge { statements: 1, .. })), "{refused:?}");
    assert_eq!(commit(&database, Batch::new()).await, Ok(()));
    assert_eq!(number(&database, COUNT, vec![]).await, 0);
}

async fn a_closed_database_does_what_waited_and_refuses_the_rest(world: World) {
    let database = world.open().await;
    let waiting = together(&database, (0..100).map(|at| note(world.id(), &at.to_string(), 1)).collect());
    let (waited, ()) = tokio::join!(biased; waiting, database.close());
    assert_eq!(waited, vec![Ok(()); 100]);
    let late = commit(&database, note(world.id(), "late", 1)).await;
    assert!(matches!(late, Err(CommitError::Unavailable(_))), "{late:?}");
    assert!(database.query(COUNT, vec![], soon()).await.is_err());
    assert_eq!(number(&world.open().await, COUNT, vec![]).await, 100);
}
