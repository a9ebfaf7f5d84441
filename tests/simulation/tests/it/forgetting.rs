//! The disk forgets what was not synced, and nothing else.

use std::collections::BTreeSet;
use std::path::Path;

use runtime::Random;
use rusqlite::{Connection, OpenFlags};
use simulation::storage::{Disk, DiskError};

const SEEDS: u64 = 200;

fn open(path: &Path, vfs: &'static str, synchronous: &str) -> rusqlite::Result<Connection> {
    let database = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), vfs)?;
    // A checkpoint every few commits, so that many power losses come upon one.
    database.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = 8;
         CREATE TABLE IF NOT EXISTS kept (number INTEGER PRIMARY KEY, filler BLOB) STRICT;"
    ))?;
    Ok(database)
}

/// Inserts until the power goes; the numbers whose transaction was acknowledged.
fn insert_until_dark(database: &Connection, from: i64) -> BTreeSet<i64> {
    const MORE_THAN_THE_COUNTDOWN_ALLOWS: i64 = 200;
    (from..from + MORE_THAN_THE_COUNTDOWN_ALLOWS)
        .take_while(|number| {
            database.execute("INSERT INTO kept VALUES (?1, randomblob(3000))", [number]).is_ok()
        })
        .collect()
}

fn numbers(database: &Connection) -> BTreeSet<i64> {
    let mut select = database.prepare("SELECT number FROM kept").unwrap();
    select.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn is_sound(database: &Connection) -> bool {
    database.query_row("PRAGMA integrity_check", (), |row| row.get(0)) == Ok("ok".to_owned())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Losses {
    at_risk: usize,
    acknowledged: usize,
    lost: usize,
    unsound: usize,
}

/// Power loss after power loss on one database, until it is damaged.
fn losses(vfs: &'static str, synchronous: &str) -> Losses {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kept.db");
    let disk = Disk::new(|_| ());
    disk.attach(vfs).unwrap();
    let mut losses = Losses::default();
    let mut kept = BTreeSet::new();
    for seed in 0..SEEDS {
        let random = Random::seeded(seed);
        disk.power_off_after(u32::try_from(random.below(300)).unwrap());
        if let Ok(database) = open(&path, vfs, synchronous) {
            let inserted = insert_until_dark(&database, i64::try_from(seed).unwrap() * 1_000);
            losses.acknowledged += inserted.len();
            kept.extend(inserted);
        }
        losses.at_risk += disk.power_on(&random).unwrap().unsynced;
        let database = open(&path, vfs, synchronous).ok().filter(is_sound);
        let Some(database) = database else {
            losses.unsound += 1;
            return losses;
        };
        let found = numbers(&database);
        losses.lost += kept.difference(&found).count();
        kept = found;
    }
    losses
}

#[test]
fn what_was_committed_durably_survives_every_power_loss() {
    let Losses { at_risk, acknowledged, lost, unsound } = losses("full", "FULL");
    assert_eq!((lost, unsound), (0, 0));
    assert!(at_risk > 500 && acknowledged > 1_000, "{at_risk} at risk, {acknowledged} acknowledged");
}

#[test]
fn what_was_acknowledged_before_it_was_durable_is_lost_for_some_seed() {
    let Losses { lost, unsound, .. } = losses("normal", "NORMAL");
    assert!(lost > 0, "NORMAL syncs at checkpoints alone");
    assert_eq!(unsound, 0, "it loses commits and never harms the database");
    let Losses { lost, unsound, .. } = losses("off", "OFF");
    assert!(lost + unsound > 0, "OFF syncs nothing at all");
}

#[test]
fn what_a_killed_process_wrote_stays_and_its_destructors_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (path, log) = (directory.path().join("kept.db"), directory.path().join("kept.db-wal"));
    let disk = Disk::new(|_| ());
    disk.attach("killed").unwrap();
    let database = open(&path, "killed", "OFF").unwrap();
    database.execute("INSERT INTO kept VALUES (1, x'')", ()).unwrap();
    disk.kill("killed");
    assert!(database.execute("INSERT INTO kept VALUES (2, x'')", ()).is_err());
    drop(database);
    assert!(log.exists(), "an orderly end would have written the log into the database and removed it");
    disk.revive("killed");
    assert_eq!(numbers(&open(&path, "killed", "OFF").unwrap()), BTreeSet::from([1]));
}

#[test]
fn whoever_watches_is_told_of_the_end_within_the_call_that_failed() {
    let directory = tempfile::tempdir().unwrap();
    let (told, hear) = std::sync::mpsc::channel();
    let disk = Disk::new(move |cut| told.send(cut).unwrap());
    disk.attach("watched").unwrap();
    let database = open(&directory.path().join("kept.db"), "watched", "FULL").unwrap();
    disk.kill_after("watched", 1);
    assert!(database.execute("INSERT INTO kept VALUES (1, x'')", ()).is_err());
    let cuts: Vec<_> = hear.try_iter().collect();
    assert_eq!(cuts, [simulation::storage::Cut::Process("watched")]);
}

#[test]
fn the_power_does_not_come_back_while_a_process_has_survived() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::new(|_| ());
    disk.attach("survivor").unwrap();
    let database = open(&directory.path().join("kept.db"), "survivor", "FULL").unwrap();
    disk.power_off();
    let refused = disk.power_on(&Random::seeded(1));
    assert!(matches!(refused, Err(DiskError::StillOpen(2))), "{refused:?}");
    drop(database);
    disk.power_on(&Random::seeded(1)).unwrap();
}
