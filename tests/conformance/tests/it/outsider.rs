//! Somebody else at the same server: holds locks, ends connections, looks at what is there.

use database::PostgresConfig;
use runtime::Env;
use tokio_postgres::{Client, NoTls};

use crate::world::soon;

pub(crate) struct Outsider {
    pub(crate) client: Client,
}

impl Outsider {
    pub(crate) async fn connect(at: &PostgresConfig, env: &Env) -> Self {
        let mut config = tokio_postgres::Config::new();
        config
            .host(&at.host)
            .port(at.port)
            .user(&at.user)
            .password(at.password.reveal())
            .dbname(&at.database);
        let (client, connection) = config.connect(NoTls).await.expect("the server is there");
        env.tasks.spawn("outsider", async move {
            // It ends when a test stops the server, which is the test's to judge.
            drop(connection.await);
        });
        Self { client }
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.expect("the statement runs");
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.expect("the query runs").get(0)
    }

    /// The name of the database it is connected to.
    pub(crate) async fn database(&self) -> String {
        self.client.query_one("SELECT current_database()", &[]).await.expect("the query runs").get(0)
    }

    /// Waits until so many wait for what it holds, or for each other behind it.
    pub(crate) async fn until_in_the_way_of(&self, waiting: i64) {
        self.until_waited_for(waiting, "0").await;
    }

    /// The same, for longer than any lane waits: they are tried alone by now.
    pub(crate) async fn until_in_the_way_of_tries(&self, waiting: i64) {
        self.until_waited_for(waiting, "20 milliseconds").await;
    }

    async fn until_waited_for(&self, waiting: i64, long: &str) {
        // The list of locks is true at any moment, also within a transaction.
        let count = format!(
            "WITH RECURSIVE waiting (pid) AS ( \
                 SELECT pg_backend_pid() UNION \
                 SELECT late.pid FROM pg_locks late JOIN waiting ON waiting.pid = ANY (pg_blocking_pids(late.pid)) \
                 WHERE NOT late.granted) \
             SELECT count(DISTINCT pid) FROM pg_locks JOIN waiting USING (pid) \
             WHERE NOT granted AND coalesce(waitstart, clock_timestamp()) <= clock_timestamp() - interval '{long}'"
        );
        let reached = async { while self.number(&count).await != waiting {} };
        soon().bound(reached).await.expect("they come to wait, or give up");
    }

    /// How many connections of the platform's were ended.
    pub(crate) async fn end_connections(&self) -> i64 {
        self.number(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'flotilla'",
        )
        .await
    }
}
