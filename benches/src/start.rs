//! `flotilla up` on a directory that exists: from exec to the first answer through the gateway, and how much memory it
//! takes.

use std::env::current_exe;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use hyper::StatusCode;
use runtime::Env;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::figures::{Limit, Limits, median};
use crate::load::all_at_once;
use crate::process::Process;
use crate::server::variable;
use crate::visitor::Visitor;

const STARTS: usize = 15;
/// Well after the last thing that happens by itself after a start or a request.
const SETTLED: Duration = Duration::from_secs(3);
/// How exactly the moment is met at which it answers.
const ASKING: Duration = Duration::from_millis(1);
/// A person who starts it does not wait for it.
const ANSWERS_MS: Limit = Limit::AtMost(120.0);
/// Little beside anything else on a laptop.
const IDLE_MB: Limit = Limit::AtMost(60.0);
/// The buffers of passwords that are being checked are given back.
const USED_MB: Limit = Limit::AtMost(80.0);

const LOGINS: usize = 1_000;
const LOGINS_AT_ONCE: usize = 16;

pub(crate) async fn run() -> Result<()> {
    let env = Env::system(1);
    let binary = binary().await?;
    // On the disk that data is on: a start syncs.
    let dir = tempfile::tempdir_in(".")?;
    let house = House { env, binary, dir: dir.path() };
    // It makes the directory and what is in it.
    let (first, began) = house.up().await?;
    let mut visitor = Visitor::connect(&house.env, first.public).await?;
    while !visitor.register().await? {
        ensure!(began.elapsed() < SETTLED, "nobody can be registered");
        sleep(ASKING).await;
    }
    // It is good for longer than all of this takes.
    let bearer = format!("Bearer {}", visitor.log_in().await?);
    first.process.end().await?;

    let mut times = Vec::new();
    for _ in 0..STARTS {
        let (platform, began) = house.up().await?;
        while platform.me(&house, &bearer).await? != StatusCode::OK {
            sleep(ASKING).await;
        }
        times.push(began.elapsed().as_secs_f64() * 1e3);
        platform.process.end().await?;
    }
    let slowest = times.iter().copied().fold(0.0, f64::max);
    let middle = median(times);
    let mut limits = Limits::default();
    let told = format!(
        "flotilla up, exec to the first 200 of /users/me: at worst {slowest:.1} ms, mostly {middle:.1}"
    );
    limits.say(&told, middle, ANSWERS_MS)?;

    let (platform, _) = house.up().await?;
    sleep(SETTLED).await;
    let idle = platform.process.resident_mb()?;
    limits.say(&format!("idle: {idle:.1} MB resident"), idle, IDLE_MB)?;
    let began = Instant::now();
    platform.log_in(&house).await?;
    let (took, at_the_last) = (began.elapsed(), platform.process.resident_mb()?);
    sleep(SETTLED).await;
    let settled = platform.process.resident_mb()?;
    let told = format!(
        "after {LOGINS} logins in {took:.1?}: {at_the_last:.1} MB resident at the moment of the last one, and then \
         {settled:.1}"
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

/// A platform whose gateway listens.
struct Up {
    process: Process,
    public: SocketAddr,
}

impl House<'_> {
    /// The platform, and when it was started.
    async fn up(&self) -> Result<(Up, Instant)> {
        let mut command = Command::new(&self.binary);
        command.args(["up", "--public", "127.0.0.1:0", "--data-dir"]).arg(self.dir.join("data"));
        // It logs as it does for everybody, and not into our figures.
        command.current_dir(self.dir).env_clear().stdout(Stdio::piped()).stderr(Stdio::null());
        let began = Instant::now();
        let (process, public) = Process::start(&self.env, command, public).await?;
        Ok((Up { process, public }, began))
    }
}

/// Where the program says that the platform is.
fn public(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("The platform is at http://")?;
    rest.split_once(". ")?.0.parse().ok()
}

impl Up {
    async fn me(&self, house: &House<'_>, bearer: &str) -> Result<StatusCode> {
        Visitor::connect(&house.env, self.public).await?.me(bearer).await
    }

    async fn log_in(&self, house: &House<'_>) -> Result<()> {
        let begun = Arc::new(AtomicUsize::new(0));
        let callers = (0..LOGINS_AT_ONCE).map(|_| {
            let (env, public, begun) = (house.env.clone(), self.public, Arc::clone(&begun));
            async move {
                let mut visitor = Visitor::connect(&env, public).await?;
                while begun.fetch_add(1, Ordering::Relaxed) < LOGINS {
                    visitor.log_in().await?;
                }
                Ok(())
            }
        });
        all_at_once(&house.env, callers).await.map(drop)
    }
}
