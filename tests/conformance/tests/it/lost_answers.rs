//! Connections that go at the worst moment: each caller is told what really happened, or that nobody knows.

use std::cell::Cell;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use database::{Batch, CommitError, Database, params};
use futures_util::future::join_all;
use runtime::Deadline;
use uuid::Uuid;

use crate::proxy::{Cut, Door, Proxy};
use crate::world::{ADD, AMOUNT, COUNT, FULL, World, commit, note, note_at, number, soon, until_full};

on_postgres! {
    a_commit_whose_connection_goes_happens_once_wherever_it_is_cut,
    a_whole_group_whose_answer_is_lost_is_told_that_it_happened,
    a_group_in_which_batches_fail_knows_its_outcome_wherever_its_answer_is_lost,
    a_commit_that_arrives_late_finds_that_it_was_given_up,
    an_outcome_that_cannot_be_asked_for_is_unknown,
    whoever_gives_up_before_the_lane_is_connected_knows_that_nothing_happened,
    a_transaction_whose_answer_is_lost_knows_its_outcome,
    connections_ended_under_load_lose_and_double_nothing,
    receipts_do_not_pile_up,
    a_new_connection_takes_away_what_ended_ones_left_long_ago,
}

const RECEIPTS: &str = "SELECT count(*) FROM flotilla_receipts";

/// The database through a wire that can be cut.
pub(crate) async fn behind_a_proxy(world: &mut World) -> (Database, Proxy) {
    let env = world.env.clone();
    let config = world.postgres_config();
    let proxy = Proxy::before(format!("{}:{}", config.host, config.port), &env).await;
    (config.host, config.port) = (proxy.addr.ip().to_string(), proxy.addr.port());
    let database = world.open().await;
    (database, proxy)
}

fn add_one(id: Uuid) -> Batch {
    let mut batch = Batch::new();
    batch.key(id).expect(1, ADD, params![1_i64, id]);
    batch
}

async fn a_commit_whose_connection_goes_happens_once_wherever_it_is_cut(mut world: World) {
    let (database, proxy) = behind_a_proxy(&mut world).await;
    let id = world.id();
    commit(&database, note(id, "one", 0)).await.unwrap();
    let cuts = [Cut::BeforeCommit, Cut::HalfwayThroughCommit, Cut::AnswerToCommit];
    for (before, cut) in (0..).zip(cuts.into_iter().cycle().take(9)) {
        proxy.cut_once(cut);
        assert_eq!(commit(&database, add_one(id)).await, Ok(()), "{cut:?}");
        assert_eq!(number(&database, AMOUNT, params![id]).await, before + 1, "{cut:?}");
    }
}

async fn a_whole_group_whose_answer_is_lost_is_told_that_it_happened(mut world: World) {
    let (database, proxy) = behind_a_proxy(&mut world).await;
    commit(&database, note(world.id(), "taken", 0)).await.unwrap();
    for (round, cut) in [Cut::AnswerToCommit, Cut::BeforeCommit].into_iter().enumerate() {
        proxy.cut_once(cut);
        let commits = (0..64).map(|at| commit(&database, note(world.id(), &format!("{round} {at}"), 0)));
        assert_eq!(join_all(commits).await, vec![Ok(()); 64], "{cut:?}");
    }
    assert_eq!(number(&database, COUNT, vec![]).await, 1 + 128);
}

async fn a_group_in_which_batches_fail_knows_its_outcome_wherever_its_answer_is_lost(mut world: World) {
    let (database, proxy) = behind_a_proxy(&mut world).await;
    commit(&database, note(world.id(), "taken", 0)).await.unwrap();
    // Two of one share and one of another: the first commit is of the other shares, the second of what is left
    // of those two, the third of what is left of one, each batch by itself.
    let fails = |at: usize| [7, 8, 40].contains(&at);
    for (passing, cut) in (0..3).flat_map(|passing| {
        [Cut::AnswerToCommit, Cut::BeforeCommit, Cut::HalfwayThroughCommit].map(|cut| (passing, cut))
    }) {
        let attempts = Cell::new(0);
        let attempt = async |number: usize| {
            attempts.set(attempts.get() + 1);
            proxy.cut_after(passing, cut);
            let name = |at: usize| {
                if fails(at) { "taken".to_owned() } else { format!("{passing} {cut:?} {number} {at}") }
            };
            join_all((0..FULL).map(|at| commit(&database, note_at(at, world.id(), &name(at), 0)))).await
        };
        let before = number(&database, COUNT, vec![]).await;
        let outcomes = until_full(&world, &database, attempt).await;
        for (at, outcome) in outcomes.iter().enumerate() {
            match outcome {
                Err(error) if fails(at) => assert!(error.violates("notes_name_key"), "{error:?}"),
                outcome => assert_eq!(*outcome, Ok(()), "{at}, after {passing}, {cut:?}"),
            }
        }
        let made = number(&database, COUNT, vec![]).await - before;
        assert_eq!(made, 61 * attempts.get(), "after {passing}, {cut:?}");
    }
}

async fn a_commit_that_arrives_late_finds_that_it_was_given_up(mut world: World) {
    let (database, proxy) = behind_a_proxy(&mut world).await;
    let id = world.id();
    commit(&database, note(id, "one", 0)).await.unwrap();
    proxy.cut_once(Cut::DelayCommit);
    assert_eq!(commit(&database, add_one(id)).await, Ok(()));
    proxy.release().await;
    assert_eq!(number(&database, AMOUNT, params![id]).await, 1, "it must not happen a second time");
}

async fn an_outcome_that_cannot_be_asked_for_is_unknown(mut world: World) {
    let (database, proxy) = behind_a_proxy(&mut world).await;
    let id = world.id();
    commit(&database, note(id, "one", 0)).await.unwrap();
    proxy.cut_once(Cut::Everything);
    let outcome = database.commit(add_one(id), Deadline::within(Duration::from_millis(700))).await;
    assert!(matches!(outcome, Err(CommitError::Unknown(_))), "{outcome:?}");
    let amount = world.outsider().number(&format!("SELECT amount FROM notes WHERE id = '{id}'")).await;
    assert_eq!(amount, 1, "it did happen");
}

async fn whoever_gives_up_before_the_lane_is_connected_knows_that_nothing_happened(mut world: World) {
    let (database, proxy) = behind_a_proxy(&mut world).await;
    let id = world.id();
    proxy.turn(Door::Mute);
    let hurried = database.commit(note(id, "one", 0), Deadline::within(Duration::from_millis(300))).await;
    assert!(matches!(hurried, Err(CommitError::Unavailable(_))), "{hurried:?}");
    proxy.turn(Door::Open);
    assert_eq!(commit(&database, note(id, "one", 0)).await, Ok(()));
}

async fn a_transaction_whose_answer_is_lost_knows_its_outcome(mut world: World) {
    let (database, proxy) = behind_a_proxy(&mut world).await;
    let id = world.id();
    commit(&database, note(id, "one", 0)).await.unwrap();
    let add = || {
        database
            .transaction(soon(), async |tx: &mut database::Transaction| tx.run(ADD, params![1_i64, id]).await)
    };
    proxy.cut_once(Cut::AnswerToCommit);
    assert_eq!(add().await, Ok(1));
    assert_eq!(number(&database, AMOUNT, params![id]).await, 1);
    proxy.cut_once(Cut::BeforeCommit);
    let refused = add().await;
    assert!(matches!(refused, Err(CommitError::Unavailable(_))), "{refused:?}");
    assert_eq!(number(&database, AMOUNT, params![id]).await, 1);
}

/// Commits from so many callers for as long as `more` says for the caller's turn; tells the ids and their outcomes.
async fn make_notes(
    world: &World,
    database: &Database,
    name: &str,
    callers: usize,
    more: impl Fn(usize) -> bool,
) -> Vec<(Uuid, Result<(), CommitError>)> {
    let more = &more;
    let caller = |caller: usize| async move {
        let mut made = Vec::new();
        for turn in (0..).take_while(|turn| more(*turn)) {
            let id = world.id();
            made.push((id, commit(database, note(id, &format!("{name} {caller} {turn}"), 1)).await));
        }
        made
    };
    join_all((0..callers).map(caller)).await.into_iter().flatten().collect()
}

/// Makes notes for as long as `meanwhile` takes.
async fn make_notes_during(
    world: &World,
    database: &Database,
    name: &str,
    meanwhile: impl Future<Output = ()>,
) -> Vec<(Uuid, Result<(), CommitError>)> {
    let is_over = AtomicBool::new(false);
    let load = make_notes(world, database, name, 16, |_| !is_over.load(Ordering::Relaxed));
    let meanwhile = async {
        meanwhile.await;
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(load, meanwhile).0
}

/// Waits until a few groups more have gone through.
async fn a_few_groups(database: &Database) {
    const NOTES: i64 = 20;
    let notes = async || {
        let counted = database.query(COUNT, vec![], soon()).await.ok()?;
        counted[0].get::<i64>(0).ok()
    };
    let mut before = None;
    let went_through = async {
        loop {
            match (before, notes().await) {
                (None, now) => before = now,
                (Some(before), Some(now)) if now >= before + NOTES => return,
                _ => {}
            }
        }
    };
    soon().bound(went_through).await.expect("groups go through");
}

/// Every acknowledged note is there once, every refused one is not.
async fn check(database: &Database, made: &[(Uuid, Result<(), CommitError>)]) {
    let mut acknowledged = 0;
    for (id, outcome) in made {
        let found = database.query(AMOUNT, params![*id], soon()).await.expect("the database is back").len();
        match outcome {
            Ok(()) => {
                assert_eq!(found, 1, "an acknowledged note is lost");
                acknowledged += 1;
            }
            Err(CommitError::Unknown(_)) => {}
            // A name that is taken by the very same note means that it ran twice.
            Err(error) => assert!(found == 0 && !error.violates("notes_pkey"), "{error:?}"),
        }
    }
    assert!(acknowledged > made.len() / 2, "only {acknowledged} of {} were acknowledged", made.len());
}

async fn connections_ended_under_load_lose_and_double_nothing(world: World) {
    const TIMES: usize = 12;
    let database = world.open().await;
    let ending = async {
        for _ in 0..TIMES {
            a_few_groups(&database).await;
            assert!(world.outsider().end_connections().await > 0, "the lane was connected");
        }
    };
    let made = make_notes_during(&world, &database, "", ending).await;
    check(&database, &made).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_and_starts_is_found_again() {
    let Some((world, script)) = World::with_a_server_of_its_own().await else { return };
    let database = world.open().await;
    let control = |word: &'static str| {
        let script = script.clone();
        world
            .env
            .compute
            .run(move || Command::new(script).arg(word).status().expect("the script runs").success())
    };
    for way_down in ["stop", "kill"] {
        let down_and_up = async {
            a_few_groups(&database).await;
            assert_eq!(control(way_down).await, Ok(true), "{way_down}");
            assert_eq!(control("start").await, Ok(true), "start after {way_down}");
            a_few_groups(&database).await;
        };
        let made = make_notes_during(&world, &database, way_down, down_and_up).await;
        check(&database, &made).await;
    }
}

async fn receipts_do_not_pile_up(world: World) {
    let database = world.open().await;
    let made = make_notes(&world, &database, "", 4, |turn| turn < 50).await;
    check(&database, &made).await;
    assert!(world.outsider().number(RECEIPTS).await <= 2, "one for each connection that writes");
}

async fn a_new_connection_takes_away_what_ended_ones_left_long_ago(world: World) {
    let database = world.open().await;
    // The first millisecond that an id can tell.
    let old = "INSERT INTO flotilla_receipts VALUES ('00000000-0001-7000-8000-000000000000', true)";
    world.outsider().run(old).await;
    commit(&database, note(world.id(), "one", 0)).await.unwrap();
    assert_eq!(world.outsider().number(RECEIPTS).await, 1, "the new one");
}
