//! The PostgreSQL server that tests are given, and a database of one's own on it.

use chassis::Vars;
use runtime::Env;
use tokio_postgres::NoTls;

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

/// The URLs of databases that are made by `statements`, which give each and its role one of the names `shown` and that
/// role the password `secret`; or nothing, as above.
pub(crate) async fn made_by<const N: usize>(statements: &str, shown: [&str; N]) -> Option<[String; N]> {
    let server = given()?;
    let names = shown.map(|shown| (shown, fresh_name()));
    let renamed = names.iter().fold(statements.to_owned(), |text, (shown, name)| text.replace(shown, name));
    for statement in renamed.split_inclusive(";\n") {
        run(&server, statement).await;
    }
    let (_, at) = server.rsplit_once('@').unwrap();
    let (at, _) = at.rsplit_once('/').unwrap();
    Some(names.map(|(_, name)| format!("postgres://{name}:secret@{at}/{name}")))
}

fn given() -> Option<String> {
    variable(SERVER)
}

/// What `cargo xtask test` tells its tests; nothing where an engine cannot be had, except in CI.
#[expect(clippy::print_stdout, reason = "a test that did not run has to say so")]
pub(crate) fn variable(name: &str) -> Option<String> {
    let vars = Vars::from_process();
    let Some(value) = vars.get(name).and_then(|value| value.to_str()) else {
        assert!(vars.get("CI").is_none_or(|ci| ci != "true"), "{name} must be set where CI=true");
        println!("{name} is not set");
        return None;
    };
    Some(value.to_owned())
}

fn fresh_name() -> String {
    format!("test_{}", Env::system(1).ids.uuid().simple())
}

async fn run(server: &str, statement: &str) {
    let (client, connection) = tokio_postgres::connect(server, NoTls).await.unwrap();
    Env::system(1).tasks.spawn("connection", async move { drop(connection.await) });
    client.batch_execute(statement).await.unwrap();
}
