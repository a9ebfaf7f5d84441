use database::{Migration, OpenError, params};

use crate::world::{AMOUNT, SCHEMA, World, commit, note, number};

on_both! {
    processes_that_start_at_once_migrate_once,
    an_edited_migration_is_refused,
    an_older_program_works_on_a_newer_schema_that_says_so,
    a_migration_that_fails_leaves_nothing_behind,
}

const fn later(version: u32, text: &'static str, oldest_binary: u32) -> Migration {
    Migration { version, name: "later", postgres: text, sqlite: text, oldest_binary }
}

const ADDED: Migration =
    later(2, "ALTER TABLE lines ADD COLUMN extra INTEGER; CREATE TABLE more (id INTEGER)", 1);

async fn processes_that_start_at_once_migrate_once(world: World) {
    let (one, other, third) = tokio::join!(world.open(), world.open(), world.open());
    let id = world.id();
    commit(&one, note(id, "one", 7)).await.unwrap();
    assert_eq!(number(&other, AMOUNT, params![id]).await, 7);
    assert_eq!(number(&third, AMOUNT, params![id]).await, 7);
}

async fn an_edited_migration_is_refused(world: World) {
    world.open().await.close().await;
    let edited = [Migration { postgres: "SELECT 1", sqlite: "SELECT 1", ..SCHEMA[0] }];
    let refused = world.open_with(&edited).await.unwrap_err();
    let text = "migration 1 (notes) was applied with other text; add a new migration instead of editing one";
    assert_eq!(refused.to_string(), text);
}

async fn an_older_program_works_on_a_newer_schema_that_says_so(world: World) {
    let old = world.open().await;
    let newer = world.open_with(&[SCHEMA[0], ADDED]).await.unwrap();
    let id = world.id();
    commit(&old, note(id, "one", 7)).await.unwrap();
    assert_eq!(number(&newer, AMOUNT, params![id]).await, 7);
    assert_eq!(number(&world.open().await, AMOUNT, params![id]).await, 7);
    world.open_with(&[SCHEMA[0], ADDED, later(3, "DROP TABLE more", 3)]).await.unwrap();
    let refused = world.open_with(SCHEMA).await.unwrap_err();
    assert!(matches!(refused, OpenError::TooNew { schema: 3, wanted: 3, known: 1 }), "{refused}");
}

async fn a_migration_that_fails_leaves_nothing_behind(world: World) {
    let broken = later(2, "CREATE TABLE half (id INTEGER); INSERT INTO nowhere VALUES (1)", 2);
    let refused = world.open_with(&[SCHEMA[0], broken]).await.unwrap_err();
    assert!(matches!(refused, OpenError::Migrate { version: 2, .. }), "{refused}");
    let mended = later(2, "CREATE TABLE half (id INTEGER)", 2);
    world.open_with(&[SCHEMA[0], mended]).await.expect("nothing of the broken one was kept");
}
