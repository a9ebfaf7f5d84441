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
pub(crate) async fn new_database() -> Option<String> {
    let server = given()?;
    let name = fresh_name();
    run(&server, &format!("CREATE DATABASE {name}")).await;
    let (server, _) = server.rsplit_once('/').unwrap();
    Some(format!("{server}/{name}"))
}

/// The URL of a database that is made by `statements`, which give it and its role the name `shown` and that role the
/// password `secret`; or nothing, as above.
pub(crate) async fn made_by(statements: &str, shown: &str) -> Option<String> {
    let server = given()?;
    let name = fresh_name();
    for statement in statements.split_inclusive(";\n") {
        run(&server, &statement.replace(shown, &name)).await;
    }
    let (_, at) = server.rsplit_once('@').unwrap();
    let (at, _) = at.rsplit_once('/').unwrap();
    Some(format!("postgres://{name}:secret@{at}/{name}"))
}

#[expect(clippy::print_stdout, reason = "a test that did not run has to say so")]
fn given() -> Option<String> {
    let vars = Vars::from_process();
    let Some(server) = vars.get(SERVER).and_then(|url| url.to_str()) else {
        assert!(vars.get("CI").is_none_or(|ci| ci != "true"), "{SERVER} must be set where CI=true");
        println!("{SERVER} is not set");
        return None;
    };
    Some(server.to_owned())
}

fn fresh_name() -> String {
    format!("test_{}", Env::system(1).ids.uuid().simple())
}

async fn run(server: &str, statement: &str) {
    let (env, service) = (Env::system(1), ServiceName::new("test"));
    let sources = Sources { vars: Vars::from([("DATABASE_URL", server)]), ..Sources::default() };
    let mut settings = Settings::new(service.clone(), sources);
    let config = database_config(&mut settings);
    settings.finish().unwrap();
    let database = Database::open(&env, &Metrics::new(&service, "0"), &config, &[]).await.unwrap();
    // The text of a statement lives as long as the program, which is a test.
    let statement = Sql::new(statement.to_owned().leak());
    database.query(statement, Vec::new(), Deadline::within(Duration::from_secs(60))).await.unwrap();
    database.close().await;
}
