//! A directory over a file of its own, for tests that look at it from inside.

use std::time::Duration;

use database::{Config, Database, SqliteConfig};
use runtime::{Deadline, Env};
use telemetry::Metrics;
use tempfile::TempDir;
use types::ServiceName;

use super::Directory;
use crate::MIGRATIONS;
use crate::account::{Account, NewAccount};
use crate::changes::Changes;
use crate::password::{Cost, Passwords};

/// The least that Argon2 takes.
pub(crate) const CHEAP: Cost = Cost { memory_kib: 8, iterations: 1, parallelism: 1 };

pub(crate) const PASSWORD: &str = "correct horse battery";

/// The directory, and the folder that its file is in.
pub(crate) async fn directory(cost: Cost) -> (Directory, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let env = Env::system(1);
    let metrics = Metrics::new(&ServiceName::new("user-service"), "test");
    let config = Config::sqlite(SqliteConfig::at(dir.path().join("users.db")));
    let database = Database::open(&env, &metrics, &config, MIGRATIONS).await.unwrap();
    let passwords = Passwords::new(&env, cost).unwrap();
    let changes = Changes::new(database.clone());
    (Directory { database, passwords, changes, ids: env.ids, clock: env.clock, random: env.random }, dir)
}

impl Directory {
    pub(crate) async fn add(&self, name: &str) -> Account {
        let new = NewAccount::parse(&format!("{name}@example.com"), name, PASSWORD.into()).unwrap();
        self.create(new, soon()).await.unwrap()
    }
}

pub(crate) fn soon() -> Deadline {
    Deadline::within(Duration::from_secs(60))
}
