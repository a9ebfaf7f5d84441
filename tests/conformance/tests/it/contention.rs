use std::pin::pin;
use std::time::Duration;

use database::{Batch, CommitError, Database, Transaction, params};
use futures_util::future::join_all;
use runtime::Deadline;
use tokio::sync::oneshot;
use types::{Classify as _, ErrorClass};
use uuid::Uuid;

use crate::world::{ADD, AMOUNT, FULL, SWAP, World, commit, note, note_at, number, soon, until_full};

/// "flotilla" as eight bytes of a number: known to every version that runs beside another.
const TURN: i64 = i64::from_be_bytes(*b"flotilla");

on_both! {
    of_concurrent_changes_to_one_version_one_wins,
    hot_rows_under_many_callers_are_counted_exactly;
    postgres:
    a_row_that_somebody_else_holds_delays_only_its_own_batch,
    a_row_that_is_held_past_the_deadline_is_busy_and_unchanged,
    what_contends_goes_on_after_a_while_though_its_turn_does_not_come,
    a_transaction_waits_for_a_row_no_longer_than_it_may,
    whoever_contends_for_a_free_row_does_not_wait_for_those_whose_row_is_held,
    whoever_gives_up_between_two_tries_knows_that_nothing_happened,
    a_deadlock_with_somebody_else_is_tried_again_until_it_is_done,
    a_deadlock_anywhere_in_a_full_group_fails_nobody,
}

on_sqlite! { while_another_process_writes_each_caller_waits_as_long_as_it_has_time }

/// Adds up under optimistic locks from two processes' worth of connections.
async fn of_concurrent_changes_to_one_version_one_wins(world: World) {
    let databases = [world.open().await, world.open().await];
    let id = world.id();
    commit(&databases[0], note(id, "one", 0)).await.unwrap();
    for version in 0..20_i64 {
        let swap = |caller: usize| {
            let mut batch = Batch::new();
            batch.key(id).expect(1, SWAP, params![version + 1, id, version]);
            let database = &databases[caller % 2];
            async move { database.commit(batch, soon()).await }
        };
        let outcomes = join_all((0..16).map(swap)).await;
        let lost = Err(CommitError::Count { statement: 0, expected: 1, actual: 0 });
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok(())).count(), 1, "{outcomes:?}");
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == lost).count(), 15, "{outcomes:?}");
    }
    assert_eq!(number(&databases[0], AMOUNT, params![id]).await, 20);
}

/// Twenty rows, sixty-four callers over two processes' worth of connections, two rows in each batch, locked in
/// whatever order the caller names them.
async fn hot_rows_under_many_callers_are_counted_exactly(world: World) {
    const ROWS: usize = 20;
    const CALLERS: usize = 64;
    const TURNS: usize = 10;
    let databases = [world.open().await, world.open().await];
    let ids: Vec<Uuid> = (0..ROWS).map(|_| world.id()).collect();
    for (at, id) in ids.iter().enumerate() {
        commit(&databases[0], note(*id, &at.to_string(), 0)).await.unwrap();
    }
    let caller = |caller: usize| {
        let (database, ids) = (databases[caller % 2].clone(), &ids);
        async move {
            for turn in 0..TURNS {
                let one = ids[(caller * 7 + turn * 3) % ROWS];
                let other = ids[(caller * 11 + turn * 5 + 1) % ROWS];
                let mut batch = Batch::new();
                batch.key(one).key(other).expect(1, ADD, params![1_i64, one]).expect(
                    1,
                    ADD,
                    params![1_i64, other],
                );
                database.commit(batch, soon()).await.expect("contention is the platform's to settle");
            }
        }
    };
    join_all((0..CALLERS).map(caller)).await;
    let mut sum = 0;
    for id in ids {
        sum += number(&databases[0], AMOUNT, params![id]).await;
    }
    assert_eq!(sum, 2 * i64::try_from(CALLERS * TURNS).unwrap());
}

/// Two notes, of which somebody else holds the first.
async fn with_one_row_held(world: &World) -> (Database, Uuid, Uuid) {
    let database = world.open().await;
    let (held, free) = (world.id(), world.id());
    commit(&database, note(held, "held", 0)).await.unwrap();
    commit(&database, note(free, "free", 0)).await.unwrap();
    world.outsider().run(&format!("BEGIN; UPDATE notes SET amount = 100 WHERE id = '{held}'")).await;
    (database, held, free)
}

fn add(id: Uuid) -> Batch {
    let mut batch = Batch::new();
    batch.key(id).expect(1, ADD, params![1_i64, id]);
    batch
}

async fn a_row_that_somebody_else_holds_delays_only_its_own_batch(world: World) {
    let (database, held, free) = with_one_row_held(&world).await;
    let blocked = commit(&database, add(held));
    let others = async {
        for _ in 0..50 {
            commit(&database, add(free)).await.unwrap();
        }
        world.outsider().run("COMMIT").await;
    };
    // Fifty waits for the row would take longer.
    let in_time = Deadline::within(world.config.timeouts.lock * 10);
    let (blocked, ()) =
        in_time.bound(async { tokio::join!(blocked, others) }).await.expect("the others went on");
    assert_eq!(blocked, Ok(()));
    assert_eq!(number(&database, AMOUNT, params![held]).await, 101);
    assert_eq!(number(&database, AMOUNT, params![free]).await, 50);
}

async fn a_row_that_is_held_past_the_deadline_is_busy_and_unchanged(world: World) {
    let (database, held, _) = with_one_row_held(&world).await;
    let late = database.commit(add(held), Deadline::within(Duration::from_secs(3))).await;
    assert_eq!(late, Err(CommitError::Busy));
    world.outsider().run("COMMIT").await;
    commit(&database, add(held)).await.unwrap();
    assert_eq!(number(&database, AMOUNT, params![held]).await, 101);
}

/// Somebody holds the lock by which crowded groups of all processes take turns, such as a process that hangs.
async fn what_contends_goes_on_after_a_while_though_its_turn_does_not_come(world: World) {
    const WAITS_FOR_ITS_TURN: &str =
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    let (database, held, _) = with_one_row_held(&world).await;
    world.outsider().run(&format!("SELECT pg_advisory_lock({TURN})")).await;
    let blocked = commit(&database, add(held));
    let others = async {
        while world.outsider().number(WAITS_FOR_ITS_TURN).await == 0 {}
        world.outsider().run("COMMIT").await;
    };
    let (blocked, ()) = tokio::join!(blocked, others);
    assert_eq!(blocked, Ok(()));
    assert_eq!(number(&database, AMOUNT, params![held]).await, 101);
}

async fn while_another_process_writes_each_caller_waits_as_long_as_it_has_time(world: World) {
    let (database, other) = (world.open().await, world.open().await);
    let (tell, is_writing) = oneshot::channel();
    let (allow, may_end) = oneshot::channel();
    let writing = other.transaction(soon(), async |_: &mut Transaction| {
        tell.send(()).expect("the test waits for it");
        may_end.await.expect("the test allows it");
        Ok::<(), CommitError>(())
    });
    let waiting = async {
        is_writing.await.expect("it is told");
        let commit = |at: i64, budget| {
            database.commit(note(world.id(), &at.to_string(), at), Deadline::within(budget))
        };
        let patient = join_all((0..8).map(|at| commit(at, Duration::from_secs(10))));
        let hurried = async {
            let outcomes = join_all((8..16).map(|at| commit(at, Duration::from_millis(100)))).await;
            allow.send(()).expect("it is still writing");
            outcomes
        };
        tokio::join!(patient, hurried)
    };
    let (written, (patient, hurried)) = tokio::join!(writing, waiting);
    assert_eq!(written, Ok(()));
    assert_eq!(patient, vec![Ok(()); 8]);
    for outcome in hurried {
        assert!(matches!(outcome, Err(CommitError::Unavailable(_))), "{outcome:?}");
    }
}

async fn a_transaction_waits_for_a_row_no_longer_than_it_may(mut world: World) {
    // Well before the transaction's own second is over.
    world.config.timeouts.lock = Duration::from_millis(100);
    let (database, held, _) = with_one_row_held(&world).await;
    let waits = async |tx: &mut Transaction| tx.run(ADD, params![1_i64, held]).await;
    assert_eq!(database.transaction(soon(), waits).await, Err(CommitError::Busy));
}

/// As many as are tried at a time outside the lanes.
const TRIED_AT_ONCE: i64 = 2;

async fn whoever_contends_for_a_free_row_does_not_wait_for_those_whose_row_is_held(mut world: World) {
    let (database, held, free) = with_one_row_held(&world).await;
    let other = world.another_outsider().await;
    other.run(&format!("BEGIN; UPDATE notes SET amount = 100 WHERE id = '{free}'")).await;
    let blocked = join_all((0..TRIED_AT_ONCE).map(|_| commit(&database, add(held))));
    let freed = async {
        world.outsider().until_in_the_way_of_tries(TRIED_AT_ONCE).await;
        let mut contending = pin!(database.commit(add(free), Deadline::within(Duration::from_secs(5))));
        let set_free = async {
            other.until_in_the_way_of_tries(1).await;
            other.run("COMMIT").await;
        };
        let outcome = tokio::select! {
            outcome = &mut contending => outcome,
            () = set_free => contending.await,
        };
        world.outsider().run("COMMIT").await;
        outcome
    };
    let (blocked, freed) = tokio::join!(blocked, freed);
    assert_eq!(freed, Ok(()));
    assert_eq!(blocked, vec![Ok(()); 2]);
    assert_eq!(number(&database, AMOUNT, params![free]).await, 101);
}

async fn whoever_gives_up_between_two_tries_knows_that_nothing_happened(world: World) {
    let (database, held, _) = with_one_row_held(&world).await;
    let blocked = join_all((0..TRIED_AT_ONCE).map(|_| commit(&database, add(held))));
    let hurried = async {
        world.outsider().until_in_the_way_of(TRIED_AT_ONCE).await;
        let hurried = database.commit(add(held), Deadline::within(Duration::from_millis(700))).await;
        world.outsider().run("COMMIT").await;
        hurried.unwrap_err()
    };
    let (blocked, hurried) = tokio::join!(blocked, hurried);
    assert_eq!(hurried.class(), ErrorClass::Unavailable, "{hurried:?}");
    assert_eq!(blocked, vec![Ok(()); 2]);
    assert_eq!(number(&database, AMOUNT, params![held]).await, 102);
}

async fn a_deadlock_with_somebody_else_is_tried_again_until_it_is_done(world: World) {
    let (database, held, free) = with_one_row_held(&world).await;
    let mut both = Batch::new();
    both.key(free).expect(1, ADD, params![1_i64, free]).key(held).expect(1, ADD, params![1_i64, held]);
    let outsider = world.outsider();
    // Whoever waits for the outsider, the outsider waits for: one of the two must give way.
    let crossing = async {
        outsider
            .run(&format!(
                "SET deadlock_timeout = '10s'; UPDATE notes SET amount = amount + 1000 WHERE id = '{free}'"
            ))
            .await;
        outsider.run("COMMIT").await;
    };
    let (outcome, ()) = tokio::join!(commit(&database, both), crossing);
    assert_eq!(outcome, Ok(()));
    assert_eq!(number(&database, AMOUNT, params![held]).await, 101);
    assert_eq!(number(&database, AMOUNT, params![free]).await, 1001);
}

async fn a_deadlock_anywhere_in_a_full_group_fails_nobody(world: World) {
    // Longer than any lane waits: it is tried alone by now.
    const WAITS_ALONE: &str = "SELECT count(*) FROM pg_locks WHERE NOT granted \
         AND waitstart < clock_timestamp() - interval '20 milliseconds' \
         AND pg_backend_pid() = ANY (pg_blocking_pids(pid))";
    let outsider = world.outsider();
    // The platform's connections, made from now on, look for a deadlock before their wait for a row is over, and late
    // enough for the outsider to come; the outsider, connected before, looks later than they give way.
    outsider
        .run(&format!("ALTER DATABASE {} SET deadlock_timeout = '50ms'", outsider.database().await))
        .await;
    let (database, held, free) = with_one_row_held(&world).await;
    outsider.run("COMMIT").await;
    for place in 0..FULL {
        let attempt = async |number: usize| {
            outsider.run(&format!("BEGIN; UPDATE notes SET amount = amount + 1 WHERE id = '{held}'")).await;
            let batches = (0..FULL).map(|at| {
                if at != place {
                    return note_at(at, world.id(), &format!("{place} {number} {at}"), 0);
                }
                let mut crossing = Batch::new();
                crossing.key(format_args!("{at:02}"));
                crossing.expect(1, ADD, params![1_i64, free]).expect(1, ADD, params![1_i64, held]);
                crossing
            });
            let group = join_all(batches.map(|batch| commit(&database, batch)));
            // Who waits for the outsider holds what the outsider then waits for: one of the two must give way.
            let crossing = async {
                while outsider.number(WAITS_ALONE).await == 0 {}
                outsider
                    .run(&format!("UPDATE notes SET amount = amount + 1 WHERE id = '{free}'; COMMIT"))
                    .await;
            };
            let (outcomes, ()) = tokio::join!(group, crossing);
            outcomes
        };
        let outcomes = until_full(&world, &database, attempt).await;
        assert_eq!(outcomes, vec![Ok(()); FULL], "the deadlock was at {place}");
    }
    let both = number(&database, AMOUNT, params![free]).await;
    assert!(both >= 2 * i64::try_from(FULL).unwrap(), "{both}");
    assert_eq!(number(&database, AMOUNT, params![held]).await, 100 + both);
    // What a connection met is counted when it ends.
    database.close().await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let counted = async { while outsider.number(deadlocks).await == 0 {} };
    soon().bound(counted).await.expect("there were deadlocks");
}
