//! The PostgreSQL server that tests are given, and a database of one's own on it.

use std::time::Duration;

use chassis::{Settings, Sources, Vars, database_config};
use database::{Database, Sql};
use runtime::{Deadline, Env};
use telemetry::Metrics;
use types::ServiceName;

/// The variable that tells the URL of a server, of a role that may create databases.
const SERVER: &str = "FLOTILLA_TEST_POSTGRES";

/// The URL of a new database, or nothing where there is no server and none has to be.
#[expect(clippy::print_stdout, reason = "a test that did not run has to say so")]
pub(crate) async fn new_database() -> Option<String> {
    let vars = Vars::from_process();
    let Some(server) = vars.get(SERVER).and_then(|url| url.to_str()) else {
        assert!(vars.get("CI").is_none_or(|ci| ci != "true"), "{SERVER} must be set where CI=true");
        println!("{SERVER} is not set");
        return None;
    };
    let env = Env::system(1);
    let name = format!("test_{}", env.ids.uuid().simple());
    let (service, sources) = (ServiceName::new("test"), Vars::from([("DATABASE_URL", server)]));
    let mut settings = Settings::new(service.clone(), Sources { vars: sources, ..Sources::default() });
    let config = database_config(&mut settings);
    settings.finish().unwrap();
    let database = Database::open(&env, &Metrics::new(&service, "0"), &config, &[]).await.unwrap();
    // The text of a statement lives as long as the program, which is a test.
    let create = Sql::new(format!("CREATE DATABASE {name}").leak());
    database.query(create, Vec::new(), Deadline::within(Duration::from_secs(60))).await.unwrap();
    database.close().await;
    let (server, _) = server.rsplit_once('/').unwrap();
    Some(format!("{server}/{name}"))
}
