use std::time::Duration;

use database::{Batch, CommitError, Database, Sql, params};
use futures_util::future::join_all;
use uuid::Uuid;

use crate::world::{ADD, AMOUNT, COUNT, INSERT, LINE, World, commit, note, number, soon};

on_both! {
    one_batch_of_a_full_group_fails_alone_whatever_its_place_and_reason,
    many_failures_in_one_group_leave_the_others_alone,
    a_change_that_takes_too_long_fails_alone,
    a_batch_is_kept_whole_or_not_at_all,
    constraints_have_the_same_names,
    what_is_too_large_is_refused_and_what_is_empty_commits,
    a_closed_database_does_what_waited_and_refuses_the_rest,
}

/// As many as a group holds.
const FULL: usize = 64;

/// Why a batch must fail, with what it must fail.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Constraint,
    Count,
    Type,
}

impl Fault {
    fn batch(self, taken: &str, name: &str, id: Uuid) -> Batch {
        let mut batch = note(id, name, 1);
        match self {
            Self::Constraint => batch.run(INSERT, params![Uuid::max(), taken, 1_i64, None::<i64>]),
            Self::Count => batch.expect(1, ADD, params![1_i64, Uuid::max()]),
            Self::Type => batch.run(INSERT, params![Uuid::max(), 7_i64, "much", None::<i64>]),
        };
        batch
    }

    fn is(self, outcome: &Result<(), CommitError>) -> bool {
        match (self, outcome) {
            (Self::Constraint, Err(error)) => error.violates("notes_name_key"),
            (Self::Count, Err(error)) => {
                *error == CommitError::Count { statement: 1, expected: 1, actual: 0 }
            }
            (Self::Type, Err(error)) => matches!(error, CommitError::Rejected { statement: 1, .. }),
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
    for (round, fault) in [Fault::Constraint, Fault::Count, Fault::Type].into_iter().enumerate() {
        for place in 0..FULL {
            let batch = |at: usize| {
                let (id, name) = (world.id(), format!("{round} {place} {at}"));
                if at == place { fault.batch("taken", &name, id) } else { note(id, &name, 1) }
            };
            let outcomes = together(&database, (0..FULL).map(batch).collect()).await;
            for (at, outcome) in outcomes.iter().enumerate() {
                let as_it_must = if at == place { fault.is(outcome) } else { *outcome == Ok(()) };
                assert!(as_it_must, "{fault:?} at {place} of {FULL}: batch {at} came to {outcome:?}");
            }
        }
    }
    let kept = i64::try_from(1 + 3 * FULL * (FULL - 1)).unwrap();
    assert_eq!(number(&database, COUNT, vec![]).await, kept);
}

async fn many_failures_in_one_group_leave_the_others_alone(world: World) {
    let database = world.open().await;
    commit(&database, note(world.id(), "taken", 1)).await.unwrap();
    let faults = [Fault::Constraint, Fault::Count, Fault::Type];
    let batch = |at: usize| match faults.get(at % 4) {
        Some(fault) => fault.batch("taken", &format!("{at}"), world.id()),
        None => note(world.id(), &format!("{at}"), 1),
    };
    let outcomes = together(&database, (0..FULL).map(batch).collect()).await;
    for (at, outcome) in outcomes.iter().enumerate() {
        let as_it_must = faults.get(at % 4).map_or(*outcome == Ok(()), |fault| fault.is(outcome));
        assert!(as_it_must, "batch {at} came to {outcome:?}");
    }
    assert_eq!(number(&database, COUNT, vec![]).await, 1 + 16);
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
