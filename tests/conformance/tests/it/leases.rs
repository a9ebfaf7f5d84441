use std::time::Duration;

use database::{Batch, CommitError, Database, Lease, params};

use crate::world::{ADD, AMOUNT, World, note, number, soon};

on_both! {
    a_lease_has_one_holder_and_goes_over_when_it_is_given_up,
    whoever_was_paused_while_its_lease_went_over_writes_nothing,
    a_renewed_lease_holds_and_a_lost_one_cannot_be_renewed,
    of_many_who_claim_at_once_one_gets_it;
    postgres:
    a_lease_does_not_go_over_under_a_batch_that_relies_on_it,
}

const LONG: Duration = Duration::from_secs(600);
/// Over before the next statement.
const OVER: Duration = Duration::ZERO;

async fn claim(database: &Database, holder: &str, ttl: Duration) -> Option<Lease> {
    database.claim_lease("relay", holder, ttl, soon()).await.expect("the database answers")
}

async fn a_lease_has_one_holder_and_goes_over_when_it_is_given_up(world: World) {
    let (one, other) = (world.open().await, world.open().await);
    let held = claim(&one, "one", LONG).await.expect("it is free");
    assert_eq!(claim(&other, "other", LONG).await, None);
    assert_eq!(claim(&one, "one", LONG).await, None, "a restarted holder is another holder");
    one.release_lease(held.clone(), soon()).await.unwrap();
    let taken = claim(&other, "other", LONG).await.expect("it was given up");
    assert!(taken.fence() > held.fence());
    one.release_lease(held, soon()).await.unwrap();
    assert_eq!(claim(&one, "one", LONG).await, None, "giving up an old lease does not touch the new one");
}

async fn whoever_was_paused_while_its_lease_went_over_writes_nothing(world: World) {
    let (paused, quick) = (world.open().await, world.open().await);
    let old = claim(&paused, "paused", OVER).await.expect("it is free");
    let new = claim(&quick, "quick", LONG).await.expect("it has ended");
    let (lost, kept) = (world.id(), world.id());
    let mut late = note(lost, "late", 1);
    late.fenced_by(&old);
    assert_eq!(paused.commit(late, soon()).await, Err(CommitError::Fenced));
    let mut current = note(kept, "current", 1);
    current.fenced_by(&new);
    assert_eq!(quick.commit(current, soon()).await, Ok(()));
    assert!(paused.query(AMOUNT, params![lost], soon()).await.unwrap().is_empty());
    assert_eq!(number(&paused, AMOUNT, params![kept]).await, 1);
}

async fn a_renewed_lease_holds_and_a_lost_one_cannot_be_renewed(world: World) {
    let (one, other) = (world.open().await, world.open().await);
    let mut lease = claim(&one, "one", OVER).await.expect("it is free");
    let before = lease.until();
    one.renew_lease(&mut lease, LONG, soon()).await.unwrap();
    assert!(lease.until() > before);
    assert_eq!(claim(&other, "other", LONG).await, None);
    one.renew_lease(&mut lease, OVER, soon()).await.unwrap();
    claim(&other, "other", LONG).await.expect("it has ended");
    assert_eq!(one.renew_lease(&mut lease, LONG, soon()).await, Err(CommitError::Fenced));
}

async fn of_many_who_claim_at_once_one_gets_it(world: World) {
    let database = world.open().await;
    let claims = (0..16).map(|at| {
        let (database, holder) = (&database, format!("holder {at}"));
        async move { database.claim_lease("relay", &holder, LONG, soon()).await }
    });
    // Some may give up waiting for the row, but nobody else may believe that the lease is theirs.
    let outcomes = futures_util::future::join_all(claims).await;
    let won = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Some(_)))).count();
    assert_eq!(won, 1, "{outcomes:?}");
}

async fn a_lease_does_not_go_over_under_a_batch_that_relies_on_it(world: World) {
    let (old, new) = (world.open().await, world.open().await);
    let id = world.id();
    old.commit(note(id, "one", 0), soon()).await.unwrap();
    let lease = claim(&old, "old", OVER).await.expect("it is free");
    let outsider = world.outsider();
    outsider.run(&format!("BEGIN; UPDATE notes SET amount = 100 WHERE id = '{id}'")).await;
    let mut batch = Batch::new();
    batch.fenced_by(&lease).expect(1, ADD, params![1_i64, id]);
    let late = old.commit(batch, soon());
    let going_over = async {
        // In a lane it would wait for a moment only.
        outsider.until_in_the_way_of_tries(1).await;
        let mut claimed = new.claim_lease("relay", "new", LONG, soon()).await;
        while claimed == Err(CommitError::Busy) {
            claimed = new.claim_lease("relay", "new", LONG, soon()).await;
        }
        outsider.run("COMMIT").await;
        claimed
    };
    let (late, claimed) = tokio::join!(late, going_over);
    assert!(matches!(claimed, Ok(Some(_))), "{claimed:?}");
    assert_eq!(late, Err(CommitError::Fenced), "it was still on its way when the lease went over");
    assert_eq!(number(&new, AMOUNT, params![id]).await, 100);
}
