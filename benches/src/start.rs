//! `flotilla up` on a directory that exists: from exec to ready, and how much memory it takes.

use std::env::current_exe;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proto::flotilla::users::v1::VerifyCredentialsRequest;
use proto::flotilla::users::v1::accounts_service_client::AccountsServiceClient;
use proto::userservice::CreateUserRequest;
use proto::userservice::user_service_client::UserServiceClient;
use runtime::Env;
use service_auth::{Identity, SpiffeId};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::connection::Connection;
use crate::figures::{Limit, Limits, median};
use crate::getuser::SERVICE;
use crate::load::all_at_once;
use crate::process::Process;
use crate::server::variable;

const STARTS: usize = 15;
/// Well after the last thing that happens by itself after a start or a request.
const SETTLED: Duration = Duration::from_secs(3);
/// How exactly the moment is met at which it is ready.
const ASKING: Duration = Duration::from_millis(1);
/// A person who starts it does not wait for it.
const READY_MS: Limit = Limit::AtMost(80.0);
/// Little beside anything else on a laptop.
const IDLE_MB: Limit = Limit::AtMost(40.0);
/// The buffers of passwords that are being checked are given back.
const USED_MB: Limit = Limit::AtMost(60.0);

const CHECKS: usize = 1_000;
const CHECKS_AT_ONCE: usize = 16;

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery";

pub(crate) async fn run() -> Result<()> {
    let env = Env::system(1);
    let binary = binary().await?;
    // On the disk that data is on: a start syncs.
    let dir = tempfile::tempdir_in(".")?;
    let house = House { env, binary, dir: dir.path() };
    // It makes the directory and what is in it.
    let first = house.up().await?;
    first.create_account(&house).await?;
    first.process.end().await?;

    let mut times = Vec::new();
    for _ in 0..STARTS {
        let platform = house.up().await?;
        times.push(platform.ready_after.as_secs_f64() * 1e3);
        platform.process.end().await?;
    }
    let slowest = times.iter().copied().fold(0.0, f64::max);
    let middle = median(times);
    let mut limits = Limits::default();
    limits.say(
        &format!("flotilla up, exec to ready: at worst {slowest:.1} ms, mostly {middle:.1}"),
        middle,
        READY_MS,
    )?;

    let platform = house.up().await?;
    sleep(SETTLED).await;
    let idle = platform.process.resident_mb()?;
    limits.say(&format!("idle: {idle:.1} MB resident"), idle, IDLE_MB)?;
    let began = Instant::now();
    platform.check_passwords(&house).await?;
    let (took, at_the_last) = (began.elapsed(), platform.process.resident_mb()?);
    sleep(SETTLED).await;
    let settled = platform.process.resident_mb()?;
    let told = format!(
        "after {CHECKS} password checks in {took:.1?}: {at_the_last:.1} MB resident at the moment of the last one, \
         and then {settled:.1}"
    );
    limits.say(&told, settled, USED_MB)?;
    platform.process.end().await?;
    limits.kept()
}

/// The program that `cargo run --release` starts, built as that does.
async fn binary() -> Result<PathBuf> {
    let cargo = variable("CARGO")?;
    let built = Command::new(cargo).args(["build", "--release", "--package=flotilla"]).status().await?;
    ensure!(built.success(), "flotilla cannot be built");
    let binary = current_exe()?.with_file_name("flotilla");
    ensure!(binary.exists(), "{} is not where this program is", binary.display());
    Ok(binary)
}

struct House<'a> {
    env: Env,
    binary: PathBuf,
    dir: &'a Path,
}

/// A platform that is ready.
struct Up {
    process: Process,
    ready_after: Duration,
    grpc: SocketAddr,
}

impl House<'_> {
    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    async fn up(&self) -> Result<Up> {
        let mut command = Command::new(&self.binary);
        command.arg("up").arg("--data-dir").arg(self.data());
        // It logs as it does for everybody, and not into our figures.
        command.current_dir(self.dir).env_clear().stdout(Stdio::piped()).stderr(Stdio::null());
        let began = Instant::now();
        let (process, (grpc, admin)) = Process::start(&self.env, command, listeners).await?;
        while !self.is_ready(admin).await? {
            sleep(ASKING).await;
        }
        Ok(Up { process, ready_after: began.elapsed(), grpc })
    }

    async fn is_ready(&self, admin: SocketAddr) -> Result<bool> {
        let mut io = self.env.net.dial(&admin.to_string()).await?;
        let request = format!("GET /health/ready HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
        io.write_all(request.as_bytes()).await?;
        let status = BufReader::new(io).lines().next_line().await?.context("no answer to /health/ready")?;
        Ok(status.starts_with("HTTP/1.1 200"))
    }

    /// Connects as the operator, with the certificate that the platform has made for it.
    async fn connect(&self, grpc: SocketAddr) -> Result<Connection> {
        let file = |name| self.data().join("operator").join(name);
        let operator = Identity::load(&file("cert.pem"), &file("key.pem"), &file("ca.pem"), &self.env.clock)?;
        let service = SpiffeId::service(&operator.id().trust_domain(), &SERVICE);
        Connection::open(&self.env, &operator, &service, grpc).await
    }
}

/// Where the table says that the service has its internal API and its health.
fn listeners(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let mut columns = line.strip_prefix(SERVICE.as_str())?.split_whitespace().skip(1);
    Some((columns.next()?.parse().ok()?, columns.next()?.parse().ok()?))
}

impl Up {
    async fn create_account(&self, house: &House<'_>) -> Result<()> {
        let connection = house.connect(self.grpc).await?;
        let mut users = UserServiceClient::with_origin(connection, Connection::ORIGIN.parse()?);
        let (email, password) = (EMAIL.to_owned(), PASSWORD.to_owned());
        users.create_user(CreateUserRequest { email, name: "Ada".to_owned(), password }).await?;
        Ok(())
    }

    async fn check_passwords(&self, house: &House<'_>) -> Result<()> {
        let connection = house.connect(self.grpc).await?;
        let accounts = AccountsServiceClient::with_origin(connection, Connection::ORIGIN.parse()?);
        let begun = Arc::new(AtomicUsize::new(0));
        let callers = (0..CHECKS_AT_ONCE).map(|_| {
            let (mut accounts, begun) = (accounts.clone(), Arc::clone(&begun));
            async move {
                while begun.fetch_add(1, Ordering::Relaxed) < CHECKS {
                    let (email, password) = (EMAIL.to_owned(), PASSWORD.to_owned());
                    accounts.verify_credentials(VerifyCredentialsRequest { email, password }).await?;
                }
                Ok(())
            }
        });
        all_at_once(&house.env, callers).await.map(drop)
    }
}
