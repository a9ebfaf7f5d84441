//! The platform as it is in production but for its size: the gateway and two instances of each service behind it, each a
//! process of the program that is shipped, on PostgreSQL.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hyper::StatusCode;
use hyper::body::Bytes;
use runtime::Env;
use service_auth::LocalCa;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::house::binary;
use crate::place::{AUTH, GATEWAY, Place, USERS, listed};
use crate::process::Process;
use crate::server::Server;
use crate::slow_proxy::{self, Pace};
use crate::visitor::Visitor;

/// Of each service behind the gateway.
pub(crate) const EACH: usize = 2;
/// A first start makes the schema and the keys.
const READY_WITHIN: Duration = Duration::from_secs(20);
const ASKING: Duration = Duration::from_millis(20);
/// For what an instance tells of itself, also on a machine that has much to do.
const TELLS_WITHIN: Duration = Duration::from_secs(5);
/// The gateway lets one address have a tenth of its connections, and all the load comes from one.
const CONNECTIONS: &str = "50000";

pub(crate) struct Town {
    pub(crate) env: Env,
    pub(crate) public: SocketAddr,
    pub(crate) gateway: Instance,
    pub(crate) auth: Vec<Instance>,
    pub(crate) users: Vec<Instance>,
    _dir: TempDir,
}

/// A process, or one that has ended and may be started again.
pub(crate) struct Instance {
    /// Its service, and which one it is of it.
    pub(crate) name: String,
    place: Place,
    settings: Vec<(&'static str, String)>,
    binary: PathBuf,
    log: Option<PathBuf>,
    process: Option<Process>,
    /// Requests that instances counted which have been killed.
    counted: u64,
    pub(crate) pace: watch::Sender<Pace>,
    /// Where others find it: its own ports, or those of what slows it.
    listed: String,
}

impl Town {
    /// Starts all of it. What the processes say of themselves goes to `logs`, or nowhere.
    pub(crate) async fn start(
        env: &Env,
        logs: Option<&Path>,
        is_slowed: bool,
        more: &[(&'static str, &str)],
    ) -> Result<Self> {
        chassis::raise_file_limit()?;
        let (binary, dir) = (binary().await?, tempfile::tempdir()?);
        let authority = LocalCa::open(&dir.path().join("authority"), &env.clock)?;
        let mut found = Vec::new();
        for service in [GATEWAY, AUTH, AUTH, USERS, USERS] {
            let nth = found.iter().filter(|other: &&Instance| other.place.name == service).count() + 1;
            let name = format!("{service}-{nth}");
            let place = Place::new(env, service, &dir.path().join(&name), &authority).await?;
            let log = logs.map(|logs| logs.join(format!("{name}.log")));
            let mut instance = Instance::new(name, place, &binary, log);
            if is_slowed && instance.place.name == USERS {
                instance.slow(env).await?;
            }
            found.push(instance);
        }
        let mut town = Self::of(env, found, dir)?;
        town.settle(more).await?;
        Ok(town)
    }

    fn of(env: &Env, mut found: Vec<Instance>, dir: TempDir) -> Result<Self> {
        let users = found.split_off(1 + EACH);
        let auth = found.split_off(1);
        let gateway = found.pop().context("it is the first")?;
        let public = SocketAddr::from((Ipv4Addr::LOCALHOST, gateway.place.http));
        Ok(Self { env: env.clone(), public, gateway, auth, users, _dir: dir })
    }

    /// Tells all of them what they need and starts them, those first whom others need.
    async fn settle(&mut self, more: &[(&'static str, &str)]) -> Result<()> {
        let behind = self.auth.iter().chain(&self.users);
        let list = behind.map(|instance| instance.listed.clone()).collect::<Vec<_>>().join(",");
        let (users, auth) = (Server::fresh(&self.env).await?.url, Server::fresh(&self.env).await?.url);
        for instance in self.users.iter_mut().chain(&mut self.auth).chain([&mut self.gateway]) {
            let settings = &mut instance.settings;
            settings.push(("SERVICES_STATIC", list.clone()));
            if instance.place.name == GATEWAY {
                settings.push(("PUBLIC_PORT", instance.place.http.to_string()));
                settings.push(("MAX_CONNECTIONS", CONNECTIONS.to_owned()));
            } else if instance.place.name == AUTH {
                settings.push(("DATABASE_URL", auth.clone()));
                settings.push(("SIGNING_KEY_SECRET", "07".repeat(32)));
                settings.extend(more.iter().map(|&(name, value)| (name, value.to_owned())));
            } else {
                settings.push(("DATABASE_URL", users.clone()));
            }
            instance.start(&self.env).await?;
        }
        Ok(())
    }

    pub(crate) async fn visitor(&self) -> Result<Visitor> {
        Visitor::connect(&self.env, self.public).await
    }

    /// The requests for an account that have arrived at the service in which it is.
    pub(crate) async fn arrived(&self) -> Result<u64> {
        let mut arrived = 0;
        for instance in &self.users {
            arrived += instance.arrived(&self.env).await?;
        }
        Ok(arrived)
    }

    /// How many passwords wait for a processor at the service that checks them.
    pub(crate) async fn waiting(&self) -> Result<u64> {
        let mut waiting = 0;
        for instance in &self.users {
            let (_, text) = instance.told(&self.env, "/metrics").await?;
            waiting += sum(std::str::from_utf8(&text)?, |line| line.starts_with("flotilla_compute_waiting{"));
        }
        Ok(waiting)
    }

    pub(crate) fn instances(&self) -> impl Iterator<Item = &Instance> {
        [&self.gateway].into_iter().chain(&self.auth).chain(&self.users)
    }
}

impl Instance {
    fn new(name: String, place: Place, binary: &Path, log: Option<PathBuf>) -> Self {
        let listed = place.listed();
        let (settings, binary) = (Vec::new(), binary.to_owned());
        let pace = watch::Sender::new(Pace::Straight);
        Self { name, place, settings, binary, log, process: None, counted: 0, pace, listed }
    }

    /// Has others find it through a proxy before each of its ports.
    async fn slow(&mut self, env: &Env) -> Result<()> {
        let http = slow_proxy::before(env, self.place.http, self.pace.subscribe()).await?;
        let grpc = slow_proxy::before(env, self.place.grpc, self.pace.subscribe()).await?;
        self.listed = listed(&self.place.name, http, grpc);
        Ok(())
    }

    /// Starts it, and waits until it is ready.
    pub(crate) async fn start(&mut self, env: &Env) -> Result<()> {
        let mut command = Command::new(&self.binary);
        command.args(["run", self.place.name.as_str()]).env_clear().stdout(Stdio::null());
        command.envs(self.place.settings()).envs(self.settings.iter().map(|(name, value)| (name, value)));
        let log = self.log.as_ref().map(|log| File::options().create(true).append(true).open(log));
        command.stderr(log.transpose()?.map_or_else(Stdio::null, Stdio::from));
        self.process = Some(Process::spawn(command)?);
        let began = Instant::now();
        while !matches!(self.told(env, "/health/ready").await, Ok((StatusCode::OK, _))) {
            ensure!(began.elapsed() < READY_WITHIN, "{} is not ready within {READY_WITHIN:?}", self.name);
            sleep(ASKING).await;
        }
        Ok(())
    }

    pub(crate) fn process(&self) -> Result<&Process> {
        self.process.as_ref().with_context(|| format!("{} has been killed", self.name))
    }

    /// Ends it as a crash does. What it counted is remembered but for the last few milliseconds.
    pub(crate) async fn kill(&mut self, env: &Env) -> Result<()> {
        self.counted = self.arrived(env).await?;
        let process = self.process.take().with_context(|| format!("{} has been killed", self.name))?;
        process.kill().await
    }

    async fn arrived(&self, env: &Env) -> Result<u64> {
        if self.process.is_none() {
            return Ok(self.counted);
        }
        let (status, text) = self.told(env, "/metrics").await?;
        ensure!(status == StatusCode::OK, "{} has no metrics: {status}", self.name);
        Ok(self.counted + requests(std::str::from_utf8(&text)?))
    }

    /// What it tells of itself, without any proxy.
    async fn told(&self, env: &Env, path: &str) -> Result<(StatusCode, Bytes)> {
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, self.place.admin));
        timeout(TELLS_WITHIN, async { Visitor::connect(env, admin).await?.get(path).await }).await?
    }
}

/// How many requests for an account these metrics know of: those that have ended, in whatever way, and those under way.
fn requests(metrics: &str) -> u64 {
    sum(metrics, |line| {
        line.starts_with("http_server_active_requests{")
            || line.starts_with("http_server_request_duration_seconds_count{")
                && line.contains("http_route=\"/users/me\"")
    })
}

/// What the lines that are meant say together.
fn sum(metrics: &str, is_meant: impl Fn(&str) -> bool) -> u64 {
    let lines = metrics.lines().filter(|line| is_meant(line));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_count_whatever_became_of_them() {
        let metrics = "http_server_active_requests{service=\"user-service\",http_request_method=\"GET\"} 2\n\
            http_server_request_duration_seconds_count{http_route=\"/users/me\",http_response_status_code=\"200\"} 40\n\
            http_server_request_duration_seconds_count{http_route=\"/users/me\",http_response_status_code=\"499\"} 3\n\
            http_server_request_duration_seconds_count{http_route=\"/users/{id}\",http_response_status_code=\"200\"} 7\n\
            http_server_request_duration_seconds_sum{http_route=\"/users/me\"} 9\n";
        assert_eq!(requests(metrics), 45);
    }
}
