//! A fresh database for each test, on one backend or the other.

use std::time::Duration;

use database::{
    Backend, Batch, CommitError, Config, Database, Migration, Password, PostgresConfig, Row, Sql,
    SqliteConfig, TlsMode, Transaction, Value,
};
use futures_util::poll;
use runtime::{Deadline, Env};
use telemetry::Metrics;
use tempfile::TempDir;
use types::ServiceName;
use uuid::Uuid;

use crate::outsider::Outsider;

/// Longer than anything takes that goes well.
const PATIENCE: Duration = Duration::from_secs(20);

/// Writes each named test once for each backend, and those after `postgres:` for PostgreSQL alone.
macro_rules! on_both {
    ($($test:ident),+ $(,)? $(; postgres: $($alone:ident),+ $(,)?)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(crate::world::World::sqlite()).await;
            })+
        }

        on_postgres! { $($test),+ $(, $($alone),+)? }
    };
}

/// Writes each named test for SQLite alone: for what only a file has.
macro_rules! on_sqlite {
    ($($test:ident),+ $(,)?) => {
        mod sqlite_alone {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(crate::world::World::sqlite()).await;
            })+
        }
    };
}

/// Writes each named test for PostgreSQL alone: for what SQLite has not. They have one thread, lanes included, so that
/// what a test hands over at one moment is one group.
macro_rules! on_postgres {
    ($($test:ident),+ $(,)?) => {
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                if let Some(world) = crate::world::World::postgres().await {
                    super::$test(world).await;
                }
            })+
        }
    };
}

/// The tables that the tests write to.
pub(crate) const SCHEMA: &[Migration] = &[Migration {
    version: 1,
    name: "notes",
    postgres: r#"
        CREATE TABLE notes (
            id      UUID             NOT NULL CONSTRAINT notes_pkey PRIMARY KEY,
            name    TEXT COLLATE "C" NOT NULL CONSTRAINT notes_name_key UNIQUE,
            amount  BIGINT           NOT NULL CONSTRAINT notes_amount_check CHECK (amount >= 0),
            blob    BYTEA
        );
        CREATE TABLE lines (
            note UUID NOT NULL REFERENCES notes (id),
            text TEXT NOT NULL
        );
        CREATE TABLE kinds (
            id     UUID    PRIMARY KEY,
            flag   BOOLEAN NOT NULL,
            number BIGINT  NOT NULL,
            json   TEXT    NOT NULL
        );
    "#,
    sqlite: r"
        CREATE TABLE notes (
            id      BLOB    NOT NULL PRIMARY KEY,
            name    TEXT    NOT NULL UNIQUE,
            amount  INTEGER NOT NULL CONSTRAINT notes_amount_check CHECK (amount >= 0),
            blob    BLOB
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE lines (
            note BLOB NOT NULL REFERENCES notes (id),
            text TEXT NOT NULL
        ) STRICT;
        CREATE TABLE kinds (
            id     BLOB    NOT NULL PRIMARY KEY,
            flag   INTEGER NOT NULL,
            number INTEGER NOT NULL,
            json   TEXT    NOT NULL
        ) STRICT, WITHOUT ROWID;
    ",
    oldest_binary: 1,
}];

pub(crate) const INSERT: Sql = Sql::new("INSERT INTO notes (id, name, amount, blob) VALUES ($1, $2, $3, $4)");
pub(crate) const LINE: Sql = Sql::new("INSERT INTO lines (note, text) VALUES ($1, $2)");
pub(crate) const ADD: Sql = Sql::new("UPDATE notes SET amount = amount + $1 WHERE id = $2");
pub(crate) const SWAP: Sql = Sql::new("UPDATE notes SET amount = $1 WHERE id = $2 AND amount = $3");
pub(crate) const NAMES: Sql = Sql::new("SELECT name FROM notes ORDER BY name");
pub(crate) const AMOUNT: Sql = Sql::new("SELECT amount FROM notes WHERE id = $1");
pub(crate) const COUNT: Sql = Sql::new("SELECT count(*) FROM notes");

/// Where a test's data is, and what it takes to open it any number of times.
pub(crate) struct World {
    pub(crate) env: Env,
    pub(crate) metrics: Metrics,
    pub(crate) config: Config,
    /// A connection of the test's own to the same database, where that is a server's.
    pub(crate) outsider: Option<Outsider>,
    _directory: Option<TempDir>,
}

impl World {
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().expect("the machine has a directory for temporary files");
        let config = Config::sqlite(SqliteConfig::at(directory.path().join("test.db")));
        Self { env: Env::system(1), metrics: metrics(), config, outsider: None, _directory: Some(directory) }
    }

    /// Nothing where no server was started.
    pub(crate) async fn postgres() -> Option<Self> {
        Some(Self::on(&Server::named("FLOTILLA_TEST_POSTGRES")?).await)
    }

    /// A server that no other test uses, with the script that stops and starts it.
    pub(crate) async fn with_a_server_of_its_own() -> Option<(Self, String)> {
        let world = Self::on(&Server::named("FLOTILLA_TEST_POSTGRES_SPARE")?).await;
        Some((world, variable("FLOTILLA_TEST_POSTGRES_SPARE_CTL")?))
    }

    async fn on(server: &Server) -> Self {
        let env = Env::system(1);
        let name = format!("test_{}", env.ids.uuid().simple());
        Outsider::connect(&server.at("postgres"), &env).await.run(&format!("CREATE DATABASE {name}")).await;
        let postgres = server.at(&name);
        let outsider = Some(Outsider::connect(&postgres, &env).await);
        let config = Config::postgres(postgres);
        Self { env, metrics: metrics(), config, outsider, _directory: None }
    }

    /// Opens the database as a process would.
    pub(crate) async fn open(&self) -> Database {
        self.open_with(SCHEMA).await.expect("the database opens")
    }

    pub(crate) async fn open_with(&self, migrations: &[Migration]) -> Result<Database, database::OpenError> {
        Database::open(&self.env, &self.metrics, &self.config, migrations).await
    }

    /// How many groups there were, and how many batches in them.
    pub(crate) fn groups(&self) -> (usize, usize) {
        let text = self.metrics.render();
        let figure = |name: &str| -> usize {
            let line = text.lines().find(|line| line.starts_with(name)).expect("it is a metric of ours");
            let value = line.rsplit(' ').next().expect("a metric has a value");
            value.trim_end_matches(".0").parse().expect("the value is a number")
        };
        (figure("db_group_batches_count"), figure("db_group_batches_sum"))
    }

    pub(crate) fn id(&self) -> Uuid {
        self.env.ids.uuid()
    }

    pub(crate) fn postgres_config(&mut self) -> &mut PostgresConfig {
        match &mut self.config.backend {
            Backend::Postgres(postgres) => postgres,
            Backend::Sqlite(_) => panic!("this test is for PostgreSQL"),
        }
    }

    /// One more connection of the test's own.
    pub(crate) async fn another_outsider(&mut self) -> Outsider {
        let env = self.env.clone();
        Outsider::connect(self.postgres_config(), &env).await
    }

    pub(crate) fn outsider(&self) -> &Outsider {
        self.outsider.as_ref().expect("this test is for PostgreSQL")
    }
}

fn metrics() -> Metrics {
    Metrics::new(&ServiceName::new("test"), "0")
}

/// The server that `cargo xtask test` started.
pub(crate) struct Server(tokio_postgres::Config);

/// What `cargo xtask test` tells its tests; nothing where an engine cannot be had, except in CI.
#[expect(clippy::disallowed_methods, reason = "the environment is how xtask tells where the engines are")]
#[expect(clippy::print_stdout, reason = "xtask counts a test that says so as skipped")]
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    if value.is_none() {
        let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!in_ci, "{name} is not set; use `cargo xtask test`");
        println!("{name} is not set");
    }
    value
}

impl Server {
    fn named(variable_name: &str) -> Option<Self> {
        variable(variable_name).map(|url| Self(url.parse().expect("the variable holds a URL")))
    }

    fn at(&self, database: &str) -> PostgresConfig {
        let [tokio_postgres::config::Host::Tcp(host)] = self.0.get_hosts() else {
            panic!("FLOTILLA_TEST_POSTGRES names one host")
        };
        let password = String::from_utf8_lossy(self.0.get_password().unwrap_or_default());
        PostgresConfig {
            host: host.clone(),
            port: self.0.get_ports()[0],
            user: self.0.get_user().unwrap_or_default().to_owned(),
            password: Password::new(password),
            database: database.to_owned(),
            tls: TlsMode::Disable,
            pool: 4,
            lanes: PostgresConfig::DEFAULT_LANES,
        }
    }
}

pub(crate) fn soon() -> Deadline {
    Deadline::within(PATIENCE)
}

/// A batch that makes a note.
pub(crate) fn note(id: Uuid, name: &str, amount: i64) -> Batch {
    let mut batch = Batch::new();
    batch.key(id);
    add_note(&mut batch, id, name, amount);
    batch
}

/// A batch that makes a note, and that stands at `place` of a group of up to a hundred.
pub(crate) fn note_at(place: usize, id: Uuid, name: &str, amount: i64) -> Batch {
    let mut batch = Batch::new();
    batch.key(format_args!("{place:02}"));
    add_note(&mut batch, id, name, amount);
    batch
}

fn add_note(batch: &mut Batch, id: Uuid, name: &str, amount: i64) {
    batch.run(INSERT, vec![id.into(), name.into(), amount.into(), Value::Null]);
}

/// As many batches as a group holds.
pub(crate) const FULL: usize = 64;

/// Makes the attempt, which is told its number, until the [`FULL`] batches that it hands over at once came to be one
/// group.
pub(crate) async fn until_full<T>(
    world: &World,
    database: &Database,
    attempt: impl AsyncFn(usize) -> T,
) -> T {
    /// One suffices, unless the writer of a file does something in between.
    const MOST: usize = 10;
    for number in 0..MOST {
        let (groups, batches) = world.groups();
        let mut attempt = Box::pin(attempt(number));
        if world.outsider.is_none() {
            // The writer of a file has a thread of its own, which does nothing else during a transaction.
            let hand_over = async |_: &mut Transaction| {
                assert!(poll!(&mut attempt).is_pending());
                Ok::<_, CommitError>(())
            };
            database.transaction(soon(), hand_over).await.expect("nothing is in its way");
        }
        let outcome = attempt.await;
        if world.groups() == (groups + 1, batches + FULL) {
            return outcome;
        }
    }
    panic!("none of {MOST} groups was full");
}

pub(crate) async fn commit(database: &Database, batch: Batch) -> Result<(), CommitError> {
    database.commit(batch, soon()).await
}

pub(crate) async fn rows(database: &Database, sql: Sql, params: Vec<Value>) -> Vec<Row> {
    database.query(sql, params, soon()).await.expect("the query runs")
}

pub(crate) async fn number(database: &Database, sql: Sql, params: Vec<Value>) -> i64 {
    rows(database, sql, params).await[0].get(0).expect("it is a number")
}
