use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::account::Account;
use super::folder::write_private;
use super::{PORT_TRIES, certificates, free_port};
use crate::process;

const SUPERUSER: &str = "flotilla";
const CTL: &str = include_str!("postgres.sh");

/// What a cluster promises about what it acknowledged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Survives the death of the server, not of the machine: fast, and all that a test can tell.
    Process,
    /// Survives a power cut, as in production: what a benchmark has to pay for.
    Machine,
}

/// A private PostgreSQL cluster in a folder of its own, on a free port of the loopback.
#[derive(Serialize, Deserialize)]
pub(crate) struct Cluster {
    dir: PathBuf,
    bin: PathBuf,
    port: u16,
    password: String,
}

impl Cluster {
    /// Makes an empty cluster in `dir`, a folder of [`super::folder`]'s making. Nothing runs yet.
    pub(crate) fn create(dir: &Path, bin: &Path, durability: Durability) -> Result<Self> {
        let cluster = Self { dir: dir.into(), bin: bin.into(), port: free_port()?, password: password()? };
        cluster.init(durability)?;
        certificates::make(dir, Account::of_server())?;
        cluster.configure(durability)?;
        cluster.write_ctl()?;
        Ok(cluster)
    }

    /// Starts the server and comes back when it answers.
    pub(crate) fn start(&mut self) -> Result<()> {
        for _ in 1..PORT_TRIES {
            if self.control("start").is_ok() {
                return Ok(());
            }
            self.port = free_port()?;
            self.write_port()?;
        }
        self.control("start").with_context(|| format!("see {}", self.dir.join("data/server.log").display()))
    }

    /// Has the control script do `verb`.
    pub(crate) fn control(&self, verb: &str) -> Result<()> {
        process::read(Command::new(self.ctl()).arg(verb)).map(drop)
    }

    /// Whether the server answers.
    pub(crate) fn answers(&self) -> bool {
        let mut ready = Command::new(self.bin.join("pg_isready"));
        ready.args(["--quiet", "--host=127.0.0.1", "--port", &self.port.to_string()]);
        ready.status().is_ok_and(|status| status.success())
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://{SUPERUSER}:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.join(certificates::CA)
    }

    /// The script that tests stop and start the server with.
    pub(crate) fn ctl(&self) -> PathBuf {
        self.dir.join("ctl")
    }

    pub(crate) fn pgbench(&self) -> PathBuf {
        self.bin.join("pgbench")
    }

    fn init(&self, durability: Durability) -> Result<()> {
        let account = Account::of_server();
        let (data, secret) = (self.dir.join("data"), self.dir.join("password"));
        fs::create_dir(&data)?;
        account.own(&data)?;
        write_private(&secret, self.password.as_bytes())?;
        account.own(&secret)?;
        let mut initdb = account.command(&self.bin.join("initdb"), &self.dir);
        initdb.arg("--pgdata").arg(data).arg("--pwfile").arg(&secret).args(["--username", SUPERUSER]);
        initdb.args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"]);
        if durability == Durability::Process {
            initdb.arg("--no-sync");
        }
        process::read(&mut initdb)?;
        fs::remove_file(secret).context("the password's file")
    }

    fn write_ctl(&self) -> Result<()> {
        let as_owner = Account::of_server().prefix().unwrap_or_default().join(" ");
        let script = CTL.replace("@BIN@", &self.bin.to_string_lossy()).replace("@AS_OWNER@", &as_owner);
        fs::write(self.ctl(), script)?;
        fs::set_permissions(self.ctl(), fs::Permissions::from_mode(0o755)).context("the control script")
    }

    /// Settings that hold in the whole cluster. `synchronous_commit` stays on everywhere, because the platform
    /// refuses a server where it is off.
    fn configure(&self, durability: Durability) -> Result<()> {
        let (sync, buffers, wal) = match durability {
            Durability::Process => ("off", "128MB", "1GB"),
            Durability::Machine => ("on", "512MB", "2GB"),
        };
        let settings = format!(
            "\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nmax_connections = 200\n\
             timezone = 'UTC'\nshared_buffers = {buffers}\nmax_wal_size = {wal}\n\
             fsync = {sync}\nfull_page_writes = {sync}\nsynchronous_commit = on\n\
             ssl = on\nssl_min_protocol_version = 'TLSv1.3'\nssl_cert_file = '../{cert}'\nssl_key_file = '../{key}'\n\
             include = 'port.conf'\n",
            cert = certificates::SERVER_CERT,
            key = certificates::SERVER_KEY,
        );
        let file = self.dir.join("data/postgresql.conf");
        let defaults = fs::read_to_string(&file)?;
        fs::write(&file, defaults + &settings)?;
        self.write_port()
    }

    fn write_port(&self) -> Result<()> {
        let file = self.dir.join("data/port.conf");
        fs::write(&file, format!("port = {}\n", self.port))?;
        Account::of_server().own(&file)
    }
}

/// A superuser of PostgreSQL may run programs, and other users of this machine can reach the loopback.
fn password() -> Result<String> {
    let hex = process::read(Command::new("openssl").args(["rand", "-hex", "16"]))?;
    Ok(hex.trim().to_owned())
}
