//! gRPC `GetUser` from PostgreSQL, beside a tonic server that does nothing else. Both are processes of their own
//! made from this program, with the allocator of the service's own binary, the same TLS, pool size, worker threads and rows; the callers are here.

use std::env::current_exe;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use proto::userservice::GetUserRequest;
use proto::userservice::user_service_client::UserServiceClient;
use runtime::Env;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use service_auth::{Identity, LocalCa, Pem, SpiffeId};
use tokio::process::Command;
use tokio::time::Instant;
use tokio_postgres::NoTls;
use types::ServiceName;
use uuid::Uuid;

use crate::connection::Connection;
use crate::figures::{Limit, Limits, median, say};
use crate::load::all_at_once;
use crate::process::Process;
use crate::server::Server;

/// As a handful of callers with a connection each would.
const CONNECTIONS: usize = 4;
const CALLS_ON_EACH: usize = 16;
/// More than the processor's caches hold, less than the server's.
const ACCOUNTS: i32 = 10_000;
/// Coprime to the number of accounts, so that a caller comes by all of them.
const STRIDE: usize = 7_919;
const SPAN: Duration = Duration::from_secs(4);
const ROUNDS: usize = 7;
/// What the bounds, identifiers, measurements and logs of a service may cost.
const TO_MINIMAL: Limit = Limit::AtLeast(0.75);

pub(crate) const SERVICE: ServiceName = ServiceName::new("user-service");
/// One that may call `GetUser`.
const CALLER: ServiceName = ServiceName::new("order-service");

/// What is read is all in memory and all visible: no run pays for what another has left behind.
const FILL: &str = "INSERT INTO users (id, email, name, role, password_hash, created_at, version)
SELECT gen_random_uuid(), 'user' || n || '@example.com', 'User ' || n, 'customer', '', 1767225600000000 + n, 1
FROM generate_series(1, $1) AS n";

pub(crate) async fn run() -> Result<()> {
    let env = Env::system(1);
    let database = Server::fresh(&env).await?;
    let dir = tempfile::tempdir()?;
    let house = House::new(env, dir.path())?;
    // The service makes the table that both read.
    let ours = house.start(house.ours(&database.url)?, serving).await?;
    let ids = fill(&house.env, &database.url).await?;
    let minimal = house.start(house.minimal(&database.url)?, |line| line.parse().ok()).await?;

    let (mut of_ours, mut of_minimal) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        // In turn, so that neither has the quieter moment each time.
        let pair = if round % 2 == 0 {
            let first = minimal.run(&house.env, &ids).await?;
            (first, ours.run(&house.env, &ids).await?)
        } else {
            let first = ours.run(&house.env, &ids).await?;
            (minimal.run(&house.env, &ids).await?, first)
        };
        // The first one warms up.
        if round > 0 {
            of_minimal.push(pair.0);
            of_ours.push(pair.1);
        }
    }
    ours.process.end().await?;
    report(&of_ours, &of_minimal)
}

/// What a server did in one run.
struct Run {
    calls_per_second: f64,
    cpu_micros_per_call: f64,
}

fn report(ours: &[Run], minimal: &[Run]) -> Result<()> {
    let compare = |figure: fn(&Run) -> f64| {
        let (ours, minimal) = (ours.iter().map(figure), minimal.iter().map(figure));
        let ratios = ours.clone().zip(minimal.clone()).map(|(ours, minimal)| ours / minimal);
        (median(ours.collect()), median(minimal.collect()), median(ratios.collect()))
    };
    let (ours, peer, ratio) = compare(|run| run.calls_per_second);
    let mut limits = Limits::default();
    let told = format!("GetUser: {ours:.0} calls/s; minimal: {peer:.0}; ratio {ratio:.2}");
    limits.say(&told, ratio, TO_MINIMAL)?;
    let (ours, peer, ratio) = compare(|run| run.cpu_micros_per_call);
    say(&format!(
        "Processor time of the server per call: {ours:.1} µs; minimal: {peer:.1}; ratio {ratio:.2}"
    ))?;
    limits.kept()
}

/// Identities, and the files that servers have theirs from.
struct House {
    env: Env,
    caller: Identity,
    service: SpiffeId,
    cert: PathBuf,
    key: PathBuf,
    ca: PathBuf,
}

impl House {
    fn new(env: Env, dir: &Path) -> Result<Self> {
        let authority = LocalCa::open(&dir.join("authority"), &env.clock)?;
        let issue = |service: &ServiceName| {
            let id = SpiffeId::service(authority.trust_domain(), service);
            Ok::<_, anyhow::Error>((authority.issue(&id, LocalCa::LEAF_VALIDITY)?, id))
        };
        let (caller, _) = issue(&CALLER)?;
        let caller = Identity::from_pem(&caller, authority.roots_pem(), &env.clock)?;
        let (Pem { chain, key }, service) = issue(&SERVICE)?;
        let files = [
            ("cert.pem", chain.as_str()),
            ("key.pem", key.expose_secret()),
            ("ca.pem", authority.roots_pem()),
        ];
        let [cert, key, ca] = files.map(|(name, text)| (dir.join(name), text));
        for (path, text) in [&cert, &key, &ca] {
            fs::write(path, text)?;
        }
        Ok(Self { env, caller, service, cert: cert.0, key: key.0, ca: ca.0 })
    }

    /// The service with the settings that it has in production, but for ports that are free on this machine:
    /// JSON logs from `info` on, OWASP's cost of a password, the default pool.
    fn ours(&self, database_url: &str) -> Result<Command> {
        let mut command = Command::new(current_exe()?);
        command.arg("user-service").stderr(Stdio::piped()).env_clear();
        command.env("TLS_CERT_FILE", &self.cert).env("TLS_KEY_FILE", &self.key).env("TLS_CA_FILE", &self.ca);
        command.env("SERVICES_STATIC", "auth-service=127.0.0.1:1:1").env("DATABASE_URL", database_url);
        command.env("BIND_ADDRESS", "127.0.0.1").env("DRAIN_DELAY", "0s");
        command.envs([("HTTP_PORT", "0"), ("GRPC_PORT", "0"), ("ADMIN_PORT", "0")]);
        Ok(command)
    }

    fn minimal(&self, database_url: &str) -> Result<Command> {
        let mut command = Command::new(current_exe()?);
        command.arg("minimal-user-service").stderr(Stdio::piped()).env_clear();
        command.args(["--database-url", database_url]);
        command.arg("--cert").arg(&self.cert).arg("--key").arg(&self.key).arg("--ca").arg(&self.ca);
        Ok(command)
    }

    async fn start(&self, command: Command, addr: fn(&str) -> Option<SocketAddr>) -> Result<Contender> {
        let (process, addr) = Process::start(&self.env, command, addr).await?;
        let mut users = Vec::new();
        for _ in 0..CONNECTIONS {
            let connection = Connection::open(&self.env, &self.caller, &self.service, addr).await?;
            users.push(UserServiceClient::with_origin(connection, Connection::ORIGIN.parse()?));
        }
        Ok(Contender { process, users })
    }
}

/// Where the service says that its internal API is, on the log line that it is ready with.
fn serving(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    if line["message"] == "serving" { line["grpc"].as_str()?.parse().ok() } else { None }
}

/// A server and its callers' connections.
struct Contender {
    process: Process,
    users: Vec<UserServiceClient<Connection>>,
}

impl Contender {
    async fn run(&self, env: &Env, ids: &Arc<[String]>) -> Result<Run> {
        let (began, cpu) = (Instant::now(), self.process.cpu()?);
        let callers = (0..CONNECTIONS * CALLS_ON_EACH).map(|nth| {
            let users = self.users[nth % CONNECTIONS].clone();
            call(users, Arc::clone(ids), nth, began + SPAN)
        });
        let calls: u32 = all_at_once(env, callers).await?.iter().sum();
        let (took, cpu) = (began.elapsed(), self.process.cpu()? - cpu);
        Ok(Run {
            calls_per_second: f64::from(calls) / took.as_secs_f64(),
            cpu_micros_per_call: cpu.as_secs_f64() * 1e6 / f64::from(calls),
        })
    }
}

/// Calls one after the other; how many.
async fn call(
    mut users: UserServiceClient<Connection>,
    ids: Arc<[String]>,
    nth: usize,
    until: Instant,
) -> Result<u32> {
    let mut calls = 0;
    let mut at = nth;
    while Instant::now() < until {
        at = (at + STRIDE) % ids.len();
        let id = ids[at].clone();
        let user = users.get_user(GetUserRequest { id }).await?.into_inner();
        ensure!(user.id == ids[at], "asked for {} and got {}", ids[at], user.id);
        calls += 1;
    }
    Ok(calls)
}

async fn fill(env: &Env, url: &str) -> Result<Arc<[String]>> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    env.tasks.spawn("filling", async move { drop(connection.await) });
    client.execute(FILL, &[&ACCOUNTS]).await?;
    client.batch_execute("VACUUM ANALYZE users").await?;
    let rows = client.query("SELECT id FROM users", &[]).await?;
    Ok(rows.iter().map(|row| row.get::<_, Uuid>(0).to_string()).collect())
}
