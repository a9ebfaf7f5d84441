//! Where a test keeps its accounts: a file of its own, or the one PostgreSQL database of all tests.

use chassis::Vars;
use runtime::Env;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio_postgres::NoTls;

/// The variable that tells the URL of a PostgreSQL server, of a role that may create databases.
const SERVER: &str = "FLOTILLA_TEST_POSTGRES";

const EXISTS: &str = "SELECT 1 FROM pg_database WHERE datname = 'user_service_test'";
const CREATE: &str = "CREATE DATABASE user_service_test";

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
    let (client, connection) = tokio_postgres::connect(server, NoTls).await.unwrap();
    Env::system(1).tasks.spawn("connection", async move { drop(connection.await) });
    if client.query_opt(EXISTS, &[]).await.unwrap().is_none() {
        client.batch_execute(CREATE).await.unwrap();
    }
}
