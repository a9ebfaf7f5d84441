//! Where a test keeps its accounts: a file of its own, or the one PostgreSQL database of all tests.

use std::time::Duration;

use chassis::{Settings, Sources, Vars, database_config};
use database::{Config, Database, Sql};
use runtime::{Deadline, Env};
use telemetry::Metrics;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use types::ServiceName;

/// The variable that tells the URL of a PostgreSQL server, of a role that may create databases.
const SERVER: &str = "FLOTILLA_TEST_POSTGRES";

const EXISTS: Sql = Sql::new("SELECT 1 FROM pg_database WHERE datname = 'user_service_test'");
const CREATE: Sql = Sql::new("CREATE DATABASE user_service_test");

/// The URL of a file in `dir`.
pub(crate) fn sqlite(dir: &TempDir) -> String {
    format!("sqlite:{}", dir.path().join("users.db").display())
}

/// The URL of the tests' database, or nothing where there is no server and none has to be.
#[expect(clippy::print_stdout, reason = "a test that did not run has to say so")]
pub(crate) async fn postgres() -> Option<String> {
    static MADE: OnceCell<()> = OnceCell::const_new();
    let vars = Vars::from_process();
    let Some(server) = vars.get(SERVER).and_then(|url| url.to_str()) else {
        assert!(vars.get("CI").is_none_or(|ci| ci != "true"), "{SERVER} must be set where CI=true");
        println!("{SERVER} is not set: not run on PostgreSQL");
        return None;
    };
    MADE.get_or_init(async || make(server).await).await;
    let (server, _) = server.rsplit_once('/').unwrap();
    Some(format!("{server}/user_service_test?sslmode=disable"))
}

async fn make(server: &str) {
    let env = Env::system(1);
    let service = ServiceName::new("user-service");
    let config = configured(&format!("{server}?sslmode=disable"));
    let deadline = Deadline::within(Duration::from_secs(60));
    let database = Database::open(&env, &Metrics::new(&service, "test"), &config, &[]).await.unwrap();
    if database.query_opt(EXISTS, Vec::new(), deadline).await.unwrap().is_none() {
        database.query(CREATE, Vec::new(), deadline).await.unwrap();
    }
    database.close().await;
}

fn configured(url: &str) -> Config {
    let sources = Sources { vars: Vars::from([("DATABASE_URL", url)]), ..Sources::default() };
    let mut settings = Settings::new(ServiceName::new("user-service"), sources);
    let config = database_config(&mut settings);
    settings.finish().unwrap();
    config
}
