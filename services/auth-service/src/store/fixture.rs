//! A database of its own for a test: a file, or one on the PostgreSQL server of all tests.

use std::time::Duration;

use chassis::{Configure as _, Settings, Sources, Vars};
use database::{Batch, CommitError, Database};
use runtime::{Deadline, Env};
use telemetry::Metrics;
use tokio_postgres::NoTls;
use types::{Id, ServiceName, Timestamp, UserId};
use uuid::Uuid;

use super::{Ending, presented, revoke_user};
use crate::refresh::Presented;
use crate::refresh_token::{RefreshToken, TokenHash};
use crate::session::{Origin, Session, UserAgent};
use crate::{Config, MIGRATIONS};

const SERVICE: ServiceName = ServiceName::new("auth-service");

/// The variable that tells the URL of a PostgreSQL server, of a role that may create databases.
const SERVER: &str = "FLOTILLA_TEST_POSTGRES";

/// Somebody.
pub(crate) const ADA: UserId = Id::from_uuid(Uuid::from_u128(7));

/// Turns each `async fn name(world: &World)` into a test on SQLite and one on PostgreSQL.
macro_rules! on_both_databases {
    ($($(#[$meta:meta])* async fn $name:ident($world:ident: &World) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn test($world: &World) $body

            #[tokio::test]
            async fn on_sqlite() {
                World::on_sqlite(test).await;
            }

            #[tokio::test]
            async fn on_postgresql() {
                World::on_postgresql(test).await;
            }
        }
    )*};
}
pub(crate) use on_both_databases;

/// An empty database and what to make rows from.
pub(crate) struct World {
    pub(crate) env: Env,
    pub(crate) database: Database,
}

impl World {
    pub(crate) async fn on_sqlite(test: impl AsyncFnOnce(&Self)) {
        let dir = tempfile::tempdir().unwrap();
        Self::run(&format!("sqlite:{}", dir.path().join("auth.db").display()), test).await;
    }

    #[expect(clippy::print_stdout, reason = "a test that did not run has to say so")]
    pub(crate) async fn on_postgresql(test: impl AsyncFnOnce(&Self)) {
        let vars = Vars::from_process();
        let Some(server) = vars.get(SERVER).and_then(|url| url.to_str()) else {
            assert!(vars.get("CI").is_none_or(|ci| ci != "true"), "{SERVER} must be set where CI=true");
            println!("{SERVER} is not set: not run on PostgreSQL");
            return;
        };
        let env = Env::system(1);
        let (client, connection) = tokio_postgres::connect(server, NoTls).await.unwrap();
        env.tasks.spawn("connection", async move { drop(connection.await) });
        let name = format!("auth_service_{}", env.ids.uuid().simple());
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let (server, _) = server.rsplit_once('/').unwrap();
        Self::run(&format!("{server}/{name}?sslmode=disable"), test).await;
        client.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
    }

    /// Revokes the tokens that Ada has from an older account than version 2.
    pub(crate) async fn revoke(&self, id: u128, now: Timestamp) {
        let mut batch = Batch::new();
        revoke_user(&mut batch, Uuid::from_u128(id), ADA, 2, Ending::at(now));
        self.database.commit(batch, soon()).await.unwrap();
    }

    /// A new refresh token.
    pub(crate) fn token(&self) -> TokenHash {
        RefreshToken::generate(&self.env.random).hash()
    }

    /// A session of `user` that begins at `now` and lasts a day.
    pub(crate) fn session(&self, user: UserId, now: Timestamp) -> Session {
        let user_agent = UserAgent::new(b"curl/8.5");
        Session {
            id: self.env.ids.next(),
            user,
            version: 1,
            created_at: now,
            used_at: now,
            expires_at: now.after(Duration::from_secs(24 * 60 * 60)),
            origin: Origin { address: [192, 0, 2, 7].into(), user_agent },
        }
    }

    /// Commits what is written into a batch.
    pub(crate) async fn commit(&self, write: impl FnOnce(&mut Batch)) -> Result<(), CommitError> {
        let mut batch = Batch::new();
        write(&mut batch);
        self.database.commit(batch, soon()).await
    }

    /// What is known of a refresh token.
    pub(crate) async fn presented(&self, token: TokenHash) -> Presented {
        presented(&self.database, token, soon()).await.unwrap().unwrap()
    }

    async fn run(url: &str, test: impl AsyncFnOnce(&Self)) {
        let env = Env::system(1);
        let metrics = Metrics::new(&SERVICE, "test");
        let database = Database::open(&env, &metrics, &config(url).database, MIGRATIONS).await.unwrap();
        let world = Self { env, database };
        test(&world).await;
        world.database.close().await;
    }
}

pub(crate) fn soon() -> Deadline {
    Deadline::within(Duration::from_secs(60))
}

fn config(url: &str) -> Config {
    let vars = Vars::from([
        ("DATABASE_URL", url),
        ("DB_POOL_SIZE", "2"),
        ("SIGNING_KEY_SECRET", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ]);
    let mut settings = Settings::new(SERVICE, Sources { vars, ..Sources::default() });
    let config = Config::configure(&mut settings);
    settings.finish().unwrap();
    config
}
