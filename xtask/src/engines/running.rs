use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

use super::consul::{self, Access, Consul};
use super::postgres::{Cluster, Durability};
use super::{folder, install};

/// The word that leaves the server to itself.
const KEEP: &str = "keep";

/// Waits for that word or for the end of its standard input, which comes when we drop the guard and also when we
/// die of anything at all; then it ends the server and removes its folder.
const WATCH: &str = r#"
read -r word || true
[ "$word" != keep ] || exit 0
[ ! -x "$1/ctl" ] || "$1/ctl" stop
rm -rf "$1"
"#;

/// A running cluster that ends with us, however we end.
pub(crate) struct Running {
    cluster: Cluster,
    watchdog: Watchdog,
}

impl Running {
    pub(crate) fn start(durability: Durability) -> Result<Self> {
        let bin = install::postgres()?;
        install::openssl()?;
        let dir = folder::fresh(durability)?;
        let watchdog = Watchdog::over(&dir)?;
        let mut cluster = Cluster::create(&dir, &bin, durability)?;
        cluster.start()?;
        Ok(Self { cluster, watchdog })
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Lets the cluster run on after us.
    pub(crate) fn keep(mut self) -> Result<Cluster> {
        self.watchdog.send_away()?;
        Ok(self.cluster)
    }
}

/// A running Consul that ends with us, however we end.
pub(crate) struct RunningConsul {
    consul: Consul,
    watchdog: Watchdog,
}

impl RunningConsul {
    pub(crate) fn start(access: Access) -> Result<Self> {
        let program = consul::program()?;
        install::openssl()?;
        let dir = folder::own("consul")?;
        let watchdog = Watchdog::over(&dir)?;
        let mut consul = Consul::create(&dir, &program, access)?;
        consul.start()?;
        Ok(Self { consul, watchdog })
    }

    pub(crate) fn consul(&self) -> &Consul {
        &self.consul
    }

    /// Lets the server run on after us.
    pub(crate) fn keep(mut self) -> Result<Consul> {
        self.watchdog.send_away()?;
        Ok(self.consul)
    }
}

/// A process that cleans up after us. It sits in a process group of its own: Ctrl-C is for us alone.
struct Watchdog(Child);

impl Watchdog {
    fn over(dir: &Path) -> Result<Self> {
        Command::new("sh")
            .args(["-c", WATCH, "watchdog"])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .map(Self)
            .context("cannot start the process that ends the engines")
    }

    /// Leaves the server to itself.
    fn send_away(&mut self) -> Result<()> {
        let mut stdin = self.0.stdin.take().context("the watchdog does not listen")?;
        writeln!(stdin, "{KEEP}").map_err(Into::into)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        if let Err(error) = self.0.wait() {
            eprintln!("the engines may still run: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CONSUL, POSTGRES};
    use super::*;

    /// Asks the server over TLS, with its certificate checked against the cluster's authority.
    fn ask(cluster: &Cluster, sql: &str) -> Result<String> {
        let url = format!("{}?sslmode=verify-full&sslrootcert={}", cluster.url(), cluster.ca().display());
        crate::process::read(Command::new("psql").arg(url).args(["-XAtqc", sql]))
    }

    #[test]
    fn a_cluster_speaks_tls_comes_back_after_a_kill_and_leaves_nothing() -> Result<()> {
        if std::env::var_os(POSTGRES).is_none() {
            println!("{POSTGRES} is not set");
            return Ok(());
        }
        let running = Running::start(Durability::Process)?;
        let cluster = running.cluster();
        assert_eq!(ask(cluster, "show synchronous_commit")?.trim(), "on");
        ask(cluster, "create table kept (id int)")?;
        cluster.control("kill")?;
        assert!(!cluster.answers());
        cluster.control("start")?;
        assert_eq!(ask(cluster, "select count(*) from kept")?.trim(), "0");
        let dir = cluster.dir().to_owned();
        drop(running);
        assert!(!dir.exists());
        Ok(())
    }

    #[test]
    fn a_consul_keeps_its_state_over_a_kill_forgets_it_when_wiped_and_leaves_nothing() -> Result<()> {
        if std::env::var_os(CONSUL).is_none() {
            println!("{CONSUL} is not set");
            return Ok(());
        }
        let running = RunningConsul::start(Access::Guarded)?;
        let consul = running.consul();
        let ask = |args: &[&str]| crate::process::read(consul.cli().args(args));
        ask(&["kv", "put", "kept", "yes"])?;
        consul.control("kill")?;
        assert!(!consul.answers());
        consul.control("start")?;
        assert_eq!(ask(&["kv", "get", "kept"])?.trim(), "yes");
        consul.control("wipe")?;
        consul.control("start")?;
        assert!(ask(&["kv", "get", "kept"]).is_err());
        let dir = consul.dir().to_owned();
        drop(running);
        assert!(!dir.exists());
        Ok(())
    }
}
