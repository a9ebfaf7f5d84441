use std::time::Duration;

use database::{Backend, CommitError, Database, Sql, Transaction, params};
use runtime::Deadline;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::world::{ADD, AMOUNT, COUNT, INSERT, World, commit, note, number, soon};

on_both! {
    what_a_transaction_read_decides_what_it_writes,
    a_transaction_that_fails_keeps_nothing,
    a_transaction_that_takes_too_long_is_rolled_back_and_lets_others_go_on,
    a_transaction_that_is_abandoned_is_rolled_back,
    concurrent_transactions_lose_no_update,
    a_transaction_in_which_a_statement_failed_does_not_commit,
    a_statement_that_runs_on_ends_with_its_transaction;
    postgres:
    waiting_for_a_connection_takes_nothing_from_a_transactions_time,
}

async fn what_a_transaction_read_decides_what_it_writes(world: World) {
    let database = world.open().await;
    let id = world.id();
    commit(&database, note(id, "one", 20)).await.unwrap();
    let doubled = double(&database, id).await.unwrap();
    assert_eq!(doubled, 40);
    assert_eq!(number(&database, AMOUNT, params![id]).await, 40);
}

async fn double(database: &Database, id: Uuid) -> Result<i64, CommitError> {
    database
        .transaction(soon(), async |tx: &mut Transaction| {
            let amount: i64 = tx.query(AMOUNT, params![id]).await?[0].get(0)?;
            assert_eq!(tx.run(ADD, params![amount, id]).await?, 1);
            Ok(amount * 2)
        })
        .await
}

async fn a_transaction_that_fails_keeps_nothing(world: World) {
    let database = world.open().await;
    commit(&database, note(world.id(), "taken", 0)).await.unwrap();
    let insert = async |tx: &mut Transaction, name: &str| {
        tx.run(INSERT, params![world.id(), name, 0_i64, None::<i64>]).await
    };
    let refused = database
        .transaction(soon(), async |tx: &mut Transaction| {
            insert(tx, "first").await?;
            insert(tx, "taken").await
        })
        .await;
    assert_eq!(refused, Err(CommitError::Constraint("notes_name_key".to_owned())));
    let changed_mind: Result<(), CommitError> = database
        .transaction(soon(), async |tx: &mut Transaction| {
            insert(tx, "first").await?;
            Err(CommitError::Fenced)
        })
        .await;
    assert_eq!(changed_mind, Err(CommitError::Fenced));
    assert_eq!(number(&database, COUNT, vec![]).await, 1);
}

async fn a_transaction_that_takes_too_long_is_rolled_back_and_lets_others_go_on(world: World) {
    let database = world.open().await;
    let id = world.id();
    commit(&database, note(id, "one", 0)).await.unwrap();
    let endless = database.transaction(soon(), async |tx: &mut Transaction| {
        tx.run(ADD, params![1000_i64, id]).await?;
        std::future::pending::<Result<(), CommitError>>().await
    });
    let other = async {
        let mut batch = database::Batch::new();
        batch.key(id).expect(1, ADD, params![1_i64, id]);
        commit(&database, batch).await
    };
    let (endless, other) = tokio::join!(endless, other);
    assert!(matches!(endless, Err(CommitError::Unavailable(_))), "{endless:?}");
    assert_eq!(other, Ok(()));
    assert_eq!(number(&database, AMOUNT, params![id]).await, 1);
}

async fn a_transaction_that_is_abandoned_is_rolled_back(mut world: World) {
    // So that whoever comes next cannot get another connection than the abandoned one.
    if let Backend::Postgres(postgres) = &mut world.config.backend {
        postgres.pool = 1;
    }
    let database = world.open().await;
    let id = world.id();
    commit(&database, note(id, "one", 0)).await.unwrap();
    let (tell, written) = oneshot::channel();
    let abandoned = database.transaction(soon(), async |tx: &mut Transaction| {
        tx.run(ADD, params![1000_i64, id]).await?;
        tell.send(()).expect("the test waits for it");
        std::future::pending::<Result<(), CommitError>>().await
    });
    tokio::select! {
        outcome = abandoned => panic!("it came to {outcome:?}"),
        told = written => told.expect("it is told"),
    }
    assert_eq!(double(&database, id).await, Ok(0));
    assert_eq!(number(&database, AMOUNT, params![id]).await, 0);
}

async fn concurrent_transactions_lose_no_update(world: World) {
    let database = world.open().await;
    let id = world.id();
    commit(&database, note(id, "one", 0)).await.unwrap();
    let add =
        || database.transaction(soon(), async |tx: &mut Transaction| tx.run(ADD, params![1_i64, id]).await);
    let added = futures_util::future::join_all((0..16).map(|_| add())).await;
    assert_eq!(added, vec![Ok(1); 16]);
    assert_eq!(number(&database, AMOUNT, params![id]).await, 16);
}

async fn waiting_for_a_connection_takes_nothing_from_a_transactions_time(mut world: World) {
    const LONGER_THAN_A_TRANSACTION: Sql = Sql::new("SELECT pg_sleep(1.2)");
    world.postgres_config().pool = 1;
    let database = world.open().await;
    let id = world.id();
    commit(&database, note(id, "one", 20)).await.unwrap();
    let before = database.query(LONGER_THAN_A_TRANSACTION, vec![], soon());
    let (before, doubled) = tokio::join!(biased; before, double(&database, id));
    assert!(before.is_ok(), "{before:?}");
    assert_eq!(doubled, Ok(40));
}

async fn a_transaction_in_which_a_statement_failed_does_not_commit(world: World) {
    let database = world.open().await;
    commit(&database, note(world.id(), "taken", 0)).await.unwrap();
    let insert = async |tx: &mut Transaction, name: &str| {
        tx.run(INSERT, params![world.id(), name, 0_i64, None::<i64>]).await
    };
    for bad in ["taken", "a\0b"] {
        let refused: Result<(), CommitError> = database
            .transaction(soon(), async |tx: &mut Transaction| {
                insert(tx, "first").await?;
                insert(tx, bad).await.expect_err("it cannot run");
                let after = insert(tx, "after").await;
                assert!(matches!(after, Err(CommitError::Rejected { .. })), "{after:?}");
                Ok(())
            })
            .await;
        assert!(matches!(refused, Err(CommitError::Rejected { .. })), "{refused:?}");
    }
    assert_eq!(number(&database, COUNT, vec![]).await, 1);
}

async fn a_statement_that_runs_on_ends_with_its_transaction(world: World) {
    /// Counts for longer than any test takes.
    const ENDLESS: Sql = Sql::new(
        "UPDATE notes SET amount = (WITH RECURSIVE n (i) AS \
             (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT count(*) FROM n) WHERE id = $1",
    );
    let database = world.open().await;
    let id = world.id();
    commit(&database, note(id, "one", 0)).await.unwrap();
    let endless = database.transaction(soon(), async |tx: &mut Transaction| {
        tx.run(ADD, params![1000_i64, id]).await?;
        tx.run(ENDLESS, params![id]).await
    });
    let mut batch = database::Batch::new();
    batch.key(id).expect(1, ADD, params![1_i64, id]);
    let other = database.commit(batch, Deadline::within(Duration::from_secs(4)));
    let (endless, other) = tokio::join!(endless, other);
    assert!(matches!(endless, Err(CommitError::Unavailable(_))), "{endless:?}");
    assert_eq!(other, Ok(()));
    assert_eq!(number(&database, AMOUNT, params![id]).await, 1);
}
