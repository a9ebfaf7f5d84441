use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use runtime::{Env, Tasks};
use tokio::time::{Instant, timeout};
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::types::FromSql;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;
use uuid::Uuid;

use super::error::text;
use super::tls::client_config;
use crate::batch::Expected;
use crate::{Backend, Dialect, OpenError, PostgresConfig, Sql, Timeouts, TlsMode, Value};

/// How soon a dead peer is noticed on a connection that is waiting for it.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// A connection is replaced after this, so that a server that was added or moved gets its share.
const LONGEST_AGE: Duration = Duration::from_secs(30 * 60);

/// Makes connections, each with the bounds set on the server's side too.
pub(super) struct Connector {
    server: tokio_postgres::Config,
    tls: Option<MakeRustlsConnect>,
    timeouts: Timeouts,
    name: String,
    env: Env,
}

/// One connection and the statements it has prepared.
pub(super) struct Connection {
    client: Client,
    prepared: HashMap<(&'static str, Option<Expected>), Statement>,
    since: Instant,
    receipts: Vec<Uuid>,
}

impl Connector {
    pub(super) fn new(config: &PostgresConfig, timeouts: Timeouts, env: &Env) -> Result<Self, OpenError> {
        let name = Backend::Postgres(config.clone()).to_string();
        let mut server = tokio_postgres::Config::new();
        server
            .host(&config.host)
            .port(config.port)
            .user(&config.user)
            .password(config.password.reveal())
            .dbname(&config.database)
            .application_name("flotilla")
            .ssl_mode(if config.tls == TlsMode::Disable { SslMode::Disable } else { SslMode::Require })
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(timeouts.connect)
            .keepalives_idle(UNACKNOWLEDGED)
            .tcp_user_timeout(UNACKNOWLEDGED);
        let tls = client_config(&config.tls)?.map(MakeRustlsConnect::new);
        Ok(Self { server, tls, timeouts, name, env: env.clone() })
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    pub(super) fn env(&self) -> &Env {
        &self.env
    }

    /// What to say when the database cannot be opened.
    pub(super) fn cannot_open(&self, reason: String) -> OpenError {
        OpenError::Connect { database: self.name.clone(), reason }
    }

    /// A new connection that waits `lock` for a row and `statement` for a statement.
    ///
    /// # Errors
    /// The reason, in words.
    pub(super) async fn connect(&self, lock: Duration, statement: Duration) -> Result<Connection, String> {
        // Boxed, because this is large and every read that might have to connect would carry it along.
        let ready = Box::pin(async {
            let client = self.dial().await.map_err(|error| text(&error))?;
            self.prepare_session(&client, lock, statement).await?;
            Ok(Connection { client, prepared: HashMap::new(), since: Instant::now(), receipts: Vec::new() })
        });
        // The driver's own timeout covers only the socket, not a server that accepts and says nothing.
        timeout(self.timeouts.connect, ready)
            .await
            .unwrap_or_else(|_| Err("the server did not answer".to_owned()))
    }

    async fn dial(&self) -> Result<Client, tokio_postgres::Error> {
        match &self.tls {
            None => {
                let (client, connection) = self.server.connect(NoTls).await?;
                drive(&self.env.tasks, connection);
                Ok(client)
            }
            Some(tls) => {
                let (client, connection) = self.server.connect(tls.clone()).await?;
                drive(&self.env.tasks, connection);
                Ok(client)
            }
        }
    }

    async fn prepare_session(
        &self,
        client: &Client,
        lock: Duration,
        statement: Duration,
    ) -> Result<(), String> {
        // What correctness stands on is set here, so that a server that reads its settings anew changes nothing.
        let session = format!(
            "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
             SET default_transaction_isolation = 'read committed'; \
             SELECT set_config('synchronous_commit', current_setting('synchronous_commit'), false), \
             current_setting('server_encoding')",
            millis(statement),
            millis(lock),
            millis(self.timeouts.idle_in_transaction),
        );
        let answers = client.simple_query(&session).await.map_err(|error| text(&error))?;
        let row = answers.iter().find_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let setting = |at| row.and_then(|row| row.get(at)).unwrap_or_default();
        match (setting(0), setting(1)) {
            ("off", _) => {
                Err("synchronous_commit is off, so the server would lose what it has acknowledged; \
                set it to on for this role or database"
                    .to_owned())
            }
            (_, "UTF8") => Ok(()),
            (_, encoding) => Err(format!("the database's encoding is {encoding}; create it with UTF8")),
        }
    }
}

/// A bound in PostgreSQL's unit, where 0 would be none.
pub(super) fn millis(bound: Duration) -> u128 {
    bound.as_millis().max(1)
}

/// The task that moves a connection's bytes. It ends with the connection, whose users learn the reason.
fn drive<F>(tasks: &Tasks, connection: F)
where
    F: Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
{
    tasks.spawn("postgres-connection", async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = text(&error), "a connection to PostgreSQL ended");
        }
    });
}

impl Connection {
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether it is to be replaced.
    pub(super) fn has_had_its_time(&self) -> bool {
        self.client.is_closed() || self.age() > LONGEST_AGE
    }

    /// The receipt that a transaction's share number `at` last left here, which nobody needs any more.
    pub(super) fn last_receipt(&self, at: usize) -> Uuid {
        self.receipts.get(at).copied().unwrap_or_default()
    }

    /// Notes that a transaction whose share number `at` left `receipt` has committed.
    pub(super) fn left(&mut self, at: usize, receipt: Uuid) {
        self.receipts.resize(self.receipts.len().max(at + 1), Uuid::nil());
        self.receipts[at] = receipt;
    }

    fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// `sql`, which raises unless it comes to what is `expected`; prepared at its first use.
    pub(super) async fn prepare(
        &mut self,
        sql: Sql,
        expected: Option<Expected>,
    ) -> Result<Statement, tokio_postgres::Error> {
        let key = (sql.text(Dialect::Postgres), expected);
        if let Some(statement) = self.prepared.get(&key) {
            return Ok(statement.clone());
        }
        // Boxed for the same reason as connecting.
        let statement = Box::pin(self.client.prepare(&checked(key.0, expected))).await?;
        self.prepared.insert(key, statement.clone());
        Ok(statement)
    }

    /// A statement that was prepared before.
    pub(super) fn prepared(&self, sql: Sql, expected: Option<Expected>) -> &Statement {
        &self.prepared[&(sql.text(Dialect::Postgres), expected)]
    }
}

/// The text that raises inside the transaction when the count is wrong.
fn checked(text: &str, expected: Option<Expected>) -> String {
    let (returning, rows) = match expected {
        None => return text.to_owned(),
        Some(Expected::Touched(rows)) => (" RETURNING 1", rows),
        Some(expected) => ("", expected.rows()),
    };
    format!("WITH affected AS ({text}{returning}) SELECT flotilla_expect(count(*), {rows}) FROM affected")
}

/// Why `params` cannot be sent to `statement`, if so.
pub(super) fn misfit(statement: &Statement, params: &[Value]) -> Option<String> {
    let wanted = statement.params();
    if wanted.len() != params.len() {
        return Some(format!("it takes {} parameters and was given {}", wanted.len(), params.len()));
    }
    let (at, (ty, value)) = wanted.iter().zip(params).enumerate().find(|(_, (ty, value))| !value.fits(ty))?;
    Some(format!("parameter ${} is {ty} and was given {}", at + 1, value.kind()))
}

/// Which of the statement's columns no [`Value`] can hold, if there is one.
pub(super) fn unreadable(statement: &Statement) -> Option<String> {
    let column =
        statement.columns().iter().find(|column| !<Value as FromSql<'_>>::accepts(column.type_()))?;
    Some(format!("column {} is {}, which cannot be read", column.name(), column.type_()))
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("age", &self.age()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({})", self.name)
    }
}
