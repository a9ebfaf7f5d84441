use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use rusqlite::Connection;

use crate::checker::{Stored, Table};
use crate::history::Account;

/// What the database holds; `None` before there is one. A copy is read, so that looking changes nothing, and
/// SQLite must find the copy sound.
pub(super) fn read(database: &Path) -> anyhow::Result<Option<Table>> {
    let directory = tempfile::tempdir()?;
    let copy = directory.path().join("copy.db");
    if !database.exists() {
        return Ok(None);
    }
    fs::copy(database, &copy)?;
    let (wal, copy_of_wal) = (wal_of(database), wal_of(&copy));
    if wal.exists() {
        fs::copy(wal, copy_of_wal)?;
    }
    let sqlite = Connection::open(&copy)?;
    let verdict: String = sqlite.query_row("PRAGMA integrity_check", (), |row| row.get(0))?;
    ensure!(verdict == "ok", "the database is damaged: {verdict}");
    if !sqlite.table_exists(None, "users")? {
        return Ok(None);
    }
    table(&sqlite).map(Some).context("reading the table of accounts")
}

fn table(sqlite: &Connection) -> rusqlite::Result<Table> {
    let mut select = sqlite.prepare("SELECT id, email, name, version FROM users")?;
    let rows = select.query_map((), |row| {
        let id = uuid::Uuid::from_bytes(row.get(0)?).to_string();
        let account = Account { id: id.clone(), email: row.get(1)?, name: row.get(2)? };
        Ok((id, Stored { account, version: row.get(3)? }))
    })?;
    rows.collect()
}

fn wal_of(database: &Path) -> PathBuf {
    let mut wal = database.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}
