//! `flotilla up` on a directory of its own.

use std::env::current_exe;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Result, ensure};
use runtime::Env;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::Instant;

use crate::process::Process;
use crate::server::variable;
use crate::visitor::Visitor;

/// Where a platform lives, and its program.
pub(crate) struct House {
    pub(crate) env: Env,
    binary: PathBuf,
    dir: TempDir,
}

/// A platform whose gateway listens.
pub(crate) struct Up {
    pub(crate) process: Process,
    public: SocketAddr,
}

impl House {
    /// One that is empty.
    pub(crate) async fn build() -> Result<Self> {
        // On the disk that data is on: a start syncs.
        Ok(Self { env: Env::system(1), binary: binary().await?, dir: tempfile::tempdir_in(".")? })
    }

    /// The platform, and when it was started.
    pub(crate) async fn up<const N: usize>(&self, settings: [(&str, &str); N]) -> Result<(Up, Instant)> {
        let mut command = Command::new(&self.binary);
        command.args(["up", "--public", "127.0.0.1:0", "--data-dir"]).arg(self.dir.path().join("data"));
        command.current_dir(self.dir.path()).env_clear().envs(settings);
        // It logs as it does for everybody, and not into our figures.
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let began = Instant::now();
        let (process, public) = Process::start(&self.env, command, public).await?;
        Ok((Up { process, public }, began))
    }
}

impl Up {
    pub(crate) async fn visitor(&self, env: &Env) -> Result<Visitor> {
        Visitor::connect(env, self.public).await
    }
}

/// Where the program says that the platform is.
fn public(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("The platform is at http://")?;
    rest.split_once(". ")?.0.parse().ok()
}

/// The program that `cargo run --release` starts, built as that does.
pub(crate) async fn binary() -> Result<PathBuf> {
    let cargo = variable("CARGO")?;
    let built = Command::new(cargo).args(["build", "--release", "--package=flotilla"]).status().await?;
    ensure!(built.success(), "flotilla cannot be built");
    let binary = current_exe()?.with_file_name("flotilla");
    ensure!(binary.exists(), "{} is not where this program is", binary.display());
    Ok(binary)
}
