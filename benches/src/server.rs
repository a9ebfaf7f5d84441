//! A database of the bench's own on the server that xtask started.

use std::path::Path;

use anyhow::{Context as _, Result};
use database::{Config, Database, Migration, Password, PostgresConfig, SqliteConfig, TlsMode};
use runtime::Env;
use telemetry::Metrics;
use tokio_postgres::NoTls;
use types::ServiceName;

/// The two tables that a transaction writes to.
pub(crate) const SCHEMA: &[Migration] = &[Migration {
    version: 1,
    name: "rows",
    postgres: "CREATE TABLE one (id UUID PRIMARY KEY, amount BIGINT NOT NULL CONSTRAINT one_amount_check CHECK (amount >= 0));
               CREATE TABLE two (id UUID PRIMARY KEY, text TEXT NOT NULL);",
    sqlite: "CREATE TABLE one (id BLOB PRIMARY KEY, amount INTEGER NOT NULL CONSTRAINT one_amount_check CHECK (amount >= 0)) STRICT, WITHOUT ROWID;
             CREATE TABLE two (id BLOB PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;",
    oldest_binary: 1,
}];

/// Where a server is: the URL and the connection it stands for.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) config: PostgresConfig,
}

impl Server {
    /// Makes a fresh database on the server of `FLOTILLA_BENCH_POSTGRES`.
    pub(crate) async fn fresh(env: &Env) -> Result<Self> {
        let url = variable("FLOTILLA_BENCH_POSTGRES")?;
        let admin: tokio_postgres::Config = url.parse().context("FLOTILLA_BENCH_POSTGRES")?;
        let name = format!("bench_{}", env.ids.uuid().simple());
        let (client, connection) = admin.connect(NoTls).await?;
        env.tasks.spawn("admin", async move { drop(connection.await) });
        client.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        let [tokio_postgres::config::Host::Tcp(host)] = admin.get_hosts() else {
            anyhow::bail!("FLOTILLA_BENCH_POSTGRES must name one host")
        };
        let password = String::from_utf8_lossy(admin.get_password().unwrap_or_default()).into_owned();
        let config = PostgresConfig {
            host: host.clone(),
            port: admin.get_ports()[0],
            user: admin.get_user().unwrap_or_default().to_owned(),
            password: Password::new(password),
            database: name.clone(),
            tls: TlsMode::Disable,
            pool: PostgresConfig::DEFAULT_POOL,
            lanes: PostgresConfig::DEFAULT_LANES,
        };
        let (server, _) = url.rsplit_once('/').context("FLOTILLA_BENCH_POSTGRES must name a database")?;
        Ok(Self { url: format!("{server}/{name}"), config })
    }

    pub(crate) async fn open(&self, env: &Env) -> Result<Database> {
        open(env, Config::postgres(self.config.clone())).await
    }
}

pub(crate) async fn open_sqlite(env: &Env, directory: &Path) -> Result<Database> {
    open(env, Config::sqlite(SqliteConfig::at(directory.join("bench.db")))).await
}

async fn open(env: &Env, config: Config) -> Result<Database> {
    let metrics = Metrics::new(&ServiceName::new("bench"), "0");
    Ok(Database::open(env, &metrics, &config, SCHEMA).await?)
}

#[expect(clippy::disallowed_methods, reason = "the environment is how xtask tells where the engines are")]
pub(crate) fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set; use `cargo xtask bench`"))
}
