use database::{Batch, Sql, Value, params};
use types::{Email, Money, Timestamp};
use uuid::Uuid;

use crate::world::{AMOUNT, COUNT, INSERT, LINE, NAMES, World, commit, note, number, rows, soon};

on_both! {
    every_unicode_scalar_but_nul_goes_through_unchanged,
    domain_values_go_through_unchanged,
    each_kind_of_value_comes_back_as_what_it_was,
    text_is_ordered_by_its_scalars,
    missing_values_stay_missing,
    nul_is_refused_and_nothing_is_kept,
}

const BLOBS: Sql = Sql::new("SELECT blob FROM notes WHERE id = $1");
const TEXT: Sql = Sql::new("SELECT text FROM lines WHERE note = $1");
const NAME: Sql = Sql::new("SELECT name FROM notes WHERE id = $1");

async fn every_unicode_scalar_but_nul_goes_through_unchanged(world: World) {
    let database = world.open().await;
    let all: Vec<char> = ('\u{1}'..=char::MAX).collect();
    for part in all.chunks(65_536) {
        let (id, text) = (world.id(), part.iter().collect::<String>());
        let mut batch = Batch::new();
        batch.run(INSERT, params![id, id.to_string(), 0_i64, text.as_bytes()]);
        batch.run(LINE, params![id, text.as_str()]);
        commit(&database, batch).await.unwrap();
        let kept: String = rows(&database, TEXT, params![id]).await[0].get(0).unwrap();
        assert!(kept == text, "text that begins with {:?} came back changed", part[0]);
        let kept: Vec<u8> = rows(&database, BLOBS, params![id]).await[0].get(0).unwrap();
        assert!(kept == text.as_bytes(), "bytes of text that begins with {:?} came back changed", part[0]);
    }
}

async fn domain_values_go_through_unchanged(world: World) {
    let database = world.open().await;
    let email: Email = "ada@example.com".parse().unwrap();
    let money = Money { minor: 9_007_199_254_740_993, currency: "EUR".parse().unwrap() };
    let at = Timestamp::from_micros(1_785_000_000_123_457);
    let json = r#"{"b": 1.0,  "a":[null,1e400,"\u00e9"], "a":2}"#;
    for (name, amount, text) in [
        (email.as_str(), money.minor, json),
        ("at", at.micros(), money.currency.as_str()),
        ("most", i64::MAX, ""),
    ] {
        let id = world.id();
        let mut batch = Batch::new();
        batch.run(INSERT, params![id, name, amount, text.as_bytes()]);
        commit(&database, batch).await.unwrap();
        assert_eq!(rows(&database, NAME, params![id]).await[0].get::<String>(0).unwrap(), name);
        assert_eq!(number(&database, AMOUNT, params![id]).await, amount);
        let kept: Vec<u8> = rows(&database, BLOBS, params![id]).await[0].get(0).unwrap();
        assert_eq!(String::from_utf8(kept).unwrap(), text);
    }
}

async fn each_kind_of_value_comes_back_as_what_it_was(world: World) {
    const KIND: Sql = Sql::new("INSERT INTO kinds (id, flag, number, json) VALUES ($1, $2, $3, $4)");
    const KINDS: Sql = Sql::new("SELECT id, flag, number, json FROM kinds WHERE id = $1");
    let database = world.open().await;
    let json = r#"{"b": 1.0,  "a":[null,1e400,"\u00e9"], "a":2}"#;
    for (flag, number) in [(true, i64::MIN), (false, -1), (true, 0), (false, i64::MAX)] {
        let id = world.id();
        let mut batch = Batch::new();
        batch.run(KIND, params![id, flag, number, json]);
        commit(&database, batch).await.unwrap();
        let row = rows(&database, KINDS, params![id]).await.remove(0);
        assert_eq!(row.get::<Uuid>(0).unwrap(), id);
        assert_eq!(row.get::<bool>(1).unwrap(), flag);
        assert_eq!(row.get::<i64>(2).unwrap(), number);
        assert_eq!(row.get::<String>(3).unwrap(), json);
    }
}

async fn text_is_ordered_by_its_scalars(world: World) {
    let database = world.open().await;
    let mut names = [
        "a",
        "B",
        "Z",
        "ä",
        "é",
        "e\u{301}",
        "ß",
        "ss",
        "_",
        "10",
        "9",
        "é ",
        "日本",
        "\u{1F600}",
        "\u{FFFD}",
    ];
    for name in names {
        commit(&database, note(world.id(), name, 0)).await.unwrap();
    }
    let kept: Vec<String> =
        rows(&database, NAMES, vec![]).await.iter().map(|row| row.get(0).unwrap()).collect();
    names.sort_unstable();
    assert_eq!(kept, names);
}

async fn missing_values_stay_missing(world: World) {
    let database = world.open().await;
    let id = world.id();
    commit(&database, note(id, "one", 1)).await.unwrap();
    let row = rows(&database, BLOBS, params![id]).await.remove(0);
    assert_eq!(row.get::<Option<Vec<u8>>>(0).unwrap(), None);
    assert!(row.get::<Vec<u8>>(0).is_err(), "NULL is no value");
}

async fn nul_is_refused_and_nothing_is_kept(world: World) {
    let database = world.open().await;
    let mut batch = note(world.id(), "kept with its batch alone", 0);
    batch.run(INSERT, params![world.id(), "a\0b", 0_i64, Value::Null]);
    let refused = database.commit(batch, soon()).await;
    assert!(matches!(refused, Err(database::CommitError::Rejected { statement: 1, .. })), "{refused:?}");
    assert_eq!(number(&database, COUNT, vec![]).await, 0);
}
