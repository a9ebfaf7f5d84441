use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::account::Account;
use super::folder::write_private;
use super::{PORT_TRIES, certificates, free_port, install};
use crate::{process, tools};

/// The release that `go.mod` names.
const VERSION: &str = "1.20.6";
/// Every byte that the server is built from.
const MODULE: &str = include_str!("../../go/consul/go.mod");
const SUMS: &str = include_str!("../../go/consul/go.sum");
const PROGRAM: &str = "consul";
const CTL: &str = include_str!("consul.sh");

/// The server's program. Building it takes minutes, once for each set of modules and Go.
pub(crate) fn program() -> Result<PathBuf> {
    let go = install::go()?;
    let go_version = process::read(Command::new(&go).args(["env", "GOVERSION"]))?;
    let mut hash = DefaultHasher::new();
    (MODULE, SUMS, &go_version).hash(&mut hash);
    tools::kept(&format!("consul-{VERSION}-{:016x}", hash.finish()), PROGRAM, |folder| {
        fs::write(folder.join("go.mod"), MODULE)?;
        fs::write(folder.join("go.sum"), SUMS)?;
        let mut build = Command::new(&go);
        // What a caller has set for modules of its own does not hold for this one.
        build
            .current_dir(folder)
            .env("GOWORK", "off")
            .env("GOFLAGS", "-buildvcs=false")
            .env("CGO_ENABLED", "0");
        build.args(["build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", PROGRAM]);
        process::read(build.arg("github.com/hashicorp/consul"))
    })
}

/// Who may do what at a server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody anything.
    Open,
    /// Nobody anything without a token.
    Guarded,
}

/// A private Consul server of one voter in a folder of its own, on free ports of the loopback. It keeps its state over
/// a restart.
#[derive(Serialize, Deserialize)]
pub(crate) struct Consul {
    dir: PathBuf,
    program: PathBuf,
    ports: Ports,
    /// The one token that may do everything, where one is needed.
    token: Option<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Ports {
    http: u16,
    https: u16,
    server: u16,
    serf: u16,
}

impl Consul {
    /// Makes an empty server in `dir`. Nothing runs yet.
    pub(crate) fn create(dir: &Path, program: &Path, access: Access) -> Result<Self> {
        let token = match access {
            Access::Open => None,
            Access::Guarded => Some(token()?),
        };
        let consul = Self { dir: dir.into(), program: program.into(), ports: Ports::free()?, token };
        certificates::make(dir, Account::Caller)?;
        let script = CTL.replace("@CONSUL@", &program.to_string_lossy());
        fs::write(consul.ctl(), script)?;
        fs::set_permissions(consul.ctl(), fs::Permissions::from_mode(0o755)).context("the control script")?;
        consul.configure()?;
        Ok(consul)
    }

    /// Starts the server and comes back when it answers.
    pub(crate) fn start(&mut self) -> Result<()> {
        for _ in 1..PORT_TRIES {
            if self.control("start").is_ok() {
                return Ok(());
            }
            self.control("wipe")?;
            self.ports = Ports::free()?;
            self.configure()?;
        }
        self.control("start").with_context(|| format!("see {}", self.dir.join("server.log").display()))
    }

    /// Has the control script do `verb`.
    pub(crate) fn control(&self, verb: &str) -> Result<()> {
        process::read(Command::new(self.ctl()).arg(verb)).map(drop)
    }

    /// Whether the server answers.
    pub(crate) fn answers(&self) -> bool {
        self.control("answers").is_ok()
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.http)
    }

    pub(crate) fn https_port(&self) -> u16 {
        self.ports.https
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.join(certificates::CA)
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The script that tests stop and start the server with.
    pub(crate) fn ctl(&self) -> PathBuf {
        self.dir.join("ctl")
    }

    /// The server's own command line, which may do everything at it.
    #[cfg(test)]
    pub(crate) fn cli(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("CONSUL_HTTP_ADDR", self.url());
        command.envs(self.token.iter().map(|token| ("CONSUL_HTTP_TOKEN", token)));
        command
    }

    fn configure(&self) -> Result<()> {
        let file = |name: &str| self.dir.join(name).display().to_string();
        let Ports { http, https, server, serf } = self.ports;
        let mut config = json!({
            "server": true, "bootstrap_expect": 1, "node_name": "flotilla", "datacenter": "dc1",
            "data_dir": file("state"),
            "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1", "advertise_addr": "127.0.0.1",
            "ports": {
                "http": http, "https": https, "server": server, "serf_lan": serf,
                "serf_wan": -1, "dns": -1, "grpc": -1, "grpc_tls": -1
            },
            "tls": { "https": {
                "ca_file": file(certificates::CA),
                "cert_file": file(certificates::SERVER_CERT),
                "key_file": file(certificates::SERVER_KEY)
            } },
            // One voter need not wait for others to find a leader.
            "performance": { "raft_multiplier": 1 },
            "leave_on_terminate": false, "skip_leave_on_interrupt": true,
            "disable_update_check": true, "disable_remote_exec": true,
            "ui_config": { "enabled": false }, "connect": { "enabled": false },
            // Every process of a test comes from one address.
            "limits": { "http_max_conns_per_client": 2000 }
        });
        if let Some(token) = &self.token {
            config["acl"] = json!({
                "enabled": true, "default_policy": "deny",
                "tokens": { "initial_management": token, "agent": token }
            });
        }
        let cli = format!(
            "export CONSUL_HTTP_ADDR={}\nexport CONSUL_HTTP_TOKEN={}\n",
            self.url(),
            self.token.as_deref().unwrap_or_default()
        );
        for (name, text) in [("consul.json", config.to_string()), ("cli.env", cli)] {
            fs::remove_file(self.dir.join(name)).or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
            write_private(&self.dir.join(name), text.as_bytes())?;
        }
        Ok(())
    }
}

impl Ports {
    fn free() -> Result<Self> {
        Ok(Self { http: free_port()?, https: free_port()?, server: free_port()?, serf: free_port()? })
    }
}

/// Other users of this machine can reach the loopback.
fn token() -> Result<String> {
    let hex = process::read(Command::new("openssl").args(["rand", "-hex", "16"]))?;
    let hex = hex.trim();
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}
