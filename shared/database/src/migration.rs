use std::fmt::{Display, Write as _};

use sha2::{Digest, Sha256};
use types::Timestamp;

use crate::{Dialect, OpenError, ReadError, Row, Sql, Value, params};

/// One step of a schema's history: numbered from 1, never edited once applied.
///
/// Its constraints are immediate: a deferred one would fail the commit, which the batches of others share.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its number.
    pub version: u32,
    /// Its name, for people.
    pub name: &'static str,
    /// Its text for PostgreSQL.
    pub postgres: &'static str,
    /// Its text for SQLite.
    pub sqlite: &'static str,
    /// The newest migration that a program must know to work with the schema after this one. A column
    /// that older programs need not mind leaves it at an earlier number; a dropped one raises it.
    pub oldest_binary: u32,
}

/// A migration whose texts are `migrations/postgres/NAME.sql` and `migrations/sqlite/NAME.sql` beside the
/// crate's `Cargo.toml`: `migration!(1, "0001_users", oldest_binary = 1)`.
#[macro_export]
macro_rules! migration {
    ($version:literal, $name:literal, oldest_binary = $oldest:literal) => {
        $crate::Migration {
            version: $version,
            name: $name,
            postgres: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/migrations/postgres/",
                $name,
                ".sql"
            )),
            sqlite: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite/", $name, ".sql")),
            oldest_binary: $oldest,
        }
    };
}

impl Migration {
    pub(crate) fn text(&self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Postgres => self.postgres,
            Dialect::Sqlite => self.sqlite,
        }
    }

    /// The parameters of [`RECORD`] after it was applied.
    pub(crate) fn record(&self, component: &'static str, dialect: Dialect, at: Timestamp) -> Vec<Value> {
        params![component, self.version, self.name, self.checksum(dialect), self.oldest_binary, at]
    }

    /// What to say when the database would not apply it.
    pub(crate) fn failed(&self, error: &dyn Display) -> OpenError {
        OpenError::Migrate { version: self.version, name: self.name.to_owned(), reason: error.to_string() }
    }

    /// The SHA-256 of the text, in hexadecimal.
    pub(crate) fn checksum(&self, dialect: Dialect) -> String {
        Sha256::digest(self.text(dialect)).iter().fold(String::with_capacity(64), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a String takes any text");
            hex
        })
    }
}

/// A history of its own within one database: ours and the service's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct History<'a> {
    pub(crate) component: &'static str,
    pub(crate) migrations: &'a [Migration],
}

/// A migration that a database says was applied to it.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    pub(crate) version: u32,
    pub(crate) name: String,
    pub(crate) checksum: String,
    pub(crate) oldest_binary: u32,
}

impl Applied {
    /// The answer to [`APPLIED`].
    pub(crate) fn from_rows(rows: &[Row]) -> Result<Vec<Self>, OpenError> {
        let number = |row: &Row, column| Ok(u32::try_from(row.get::<i64>(column)?).unwrap_or(u32::MAX));
        let applied = |row: &Row| {
            Ok(Self {
                version: number(row, 0)?,
                name: row.get(1)?,
                checksum: row.get(2)?,
                oldest_binary: number(row, 3)?,
            })
        };
        let all: Result<_, ReadError> = rows.iter().map(applied).collect();
        all.map_err(|error| OpenError::record(&error))
    }
}

/// Where the histories are recorded; the one table that is made outside of any history.
pub(crate) const CREATE_RECORD: &str = r"
CREATE TABLE IF NOT EXISTS flotilla_migrations (
    component     TEXT    NOT NULL,
    version       BIGINT  NOT NULL,
    name          TEXT    NOT NULL,
    checksum      TEXT    NOT NULL,
    oldest_binary BIGINT  NOT NULL,
    applied_at    BIGINT  NOT NULL,
    PRIMARY KEY (component, version)
)";

pub(crate) const APPLIED: Sql = Sql::new(
    "SELECT version, name, checksum, oldest_binary FROM flotilla_migrations WHERE component = $1 ORDER BY version",
);

pub(crate) const RECORD: Sql = Sql::new(
    "INSERT INTO flotilla_migrations (component, version, name, checksum, oldest_binary, applied_at) \
     VALUES ($1, $2, $3, $4, $5, $6)",
);

/// What is left to apply.
///
/// # Errors
/// The program's migrations are not as they must be, one that was applied was edited since, or the schema is
/// newer than the program can work with.
pub(crate) fn plan<'a>(
    migrations: &'a [Migration],
    applied: &[Applied],
    dialect: Dialect,
) -> Result<&'a [Migration], OpenError> {
    for (at, migration) in (1_u32..).zip(migrations) {
        check(at, migration, dialect)?;
    }
    let edited =
        migrations.iter().zip(applied).find(|(known, seen)| known.checksum(dialect) != seen.checksum);
    if let Some((_, seen)) = edited {
        return Err(OpenError::Edited { version: seen.version, name: seen.name.clone() });
    }
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    let wanted = applied.iter().map(|seen| seen.oldest_binary).max().unwrap_or(0);
    if wanted > known {
        let schema = applied.last().map_or(0, |seen| seen.version);
        return Err(OpenError::TooNew { schema, wanted, known });
    }
    Ok(migrations.get(applied.len()..).unwrap_or_default())
}

fn check(at: u32, migration: &Migration, dialect: Dialect) -> Result<(), OpenError> {
    let Migration { version, name, oldest_binary, .. } = *migration;
    if version != at {
        return Err(OpenError::Numbering(version));
    }
    if oldest_binary > version {
        return Err(OpenError::OldestBinary { version, oldest_binary });
    }
    // INITIALLY DEFERRED alone makes one, too.
    if migration.text(dialect).to_ascii_uppercase().contains("DEFERR") {
        return Err(OpenError::Deferrable { version, name: name.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn migration(version: u32, text: &'static str, oldest_binary: u32) -> Migration {
        Migration { version, name: "step", postgres: text, sqlite: text, oldest_binary }
    }

    fn applied(migrations: &[Migration]) -> Vec<Applied> {
        let applied = |step: &Migration| Applied {
            version: step.version,
            name: step.name.to_owned(),
            checksum: step.checksum(Dialect::Sqlite),
            oldest_binary: step.oldest_binary,
        };
        migrations.iter().map(applied).collect()
    }

    fn planned(known: &[Migration], seen: &[Migration]) -> Result<Vec<u32>, String> {
        let plan = plan(known, &applied(seen), Dialect::Sqlite);
        plan.map(|steps| steps.iter().map(|step| step.version).collect()).map_err(|wrong| wrong.to_string())
    }

    const ONE: Migration = migration(1, "one", 1);
    const TWO: Migration = migration(2, "two", 1);
    const BREAKING: Migration = migration(3, "three", 3);

    #[test]
    fn what_was_not_applied_yet_is_left_to_apply() {
        assert_eq!(planned(&[ONE, TWO], &[]), Ok(vec![1, 2]));
        assert_eq!(planned(&[ONE, TWO], &[ONE]), Ok(vec![2]));
        assert_eq!(planned(&[ONE, TWO], &[ONE, TWO]), Ok(vec![]));
    }

    #[test]
    fn an_older_program_works_on_a_newer_schema_that_says_so_and_on_no_other() {
        assert_eq!(planned(&[ONE], &[ONE, TWO]), Ok(vec![]));
        let refused = planned(&[ONE, TWO], &[ONE, TWO, BREAKING]).unwrap_err();
        assert_eq!(
            refused,
            "the schema is at version 3 and wants a program that knows version 3; this one knows 2"
        );
    }

    #[test]
    fn a_constraint_that_could_fail_the_commit_of_others_is_refused() {
        let text = "CREATE TABLE a (b INTEGER REFERENCES c (d) Deferrable Initially Deferred)";
        let refused = planned(&[migration(1, text, 1)], &[]).unwrap_err();
        assert!(refused.starts_with("migration 1 (step) has a DEFERRABLE constraint"), "{refused}");
    }

    #[test]
    fn a_migration_that_its_own_program_would_not_know_is_refused() {
        let refused = planned(&[migration(1, "one", 2)], &[]).unwrap_err();
        assert_eq!(refused, "migration 1 wants a program that knows migration 2, which comes after it");
    }

    #[test]
    fn an_edited_or_misnumbered_migration_is_refused() {
        let edited = planned(&[migration(1, "other", 1)], &[ONE]).unwrap_err();
        assert!(edited.starts_with("migration 1 (step) was applied with other text"), "{edited}");
        assert!(planned(&[TWO], &[]).unwrap_err().starts_with("migration 2 is out of order"));
    }
}
