//! The engines that tests and benchmarks stand on, and how tests learn where they are.

mod account;
mod certificates;
mod consul;
mod folder;
mod install;
mod kept;
mod node;
mod postgres;
mod running;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Subcommand;

use self::consul::{Access, Consul};
use self::running::RunningConsul;
pub(crate) use install::npm;
pub(crate) use postgres::{Cluster, Durability};
pub(crate) use running::Running;

/// A URL of the superuser; without it the tests against PostgreSQL do not run.
pub(crate) const POSTGRES: &str = "FLOTILLA_TEST_POSTGRES";
/// The authority that signed the server's certificate.
const POSTGRES_CA: &str = "FLOTILLA_TEST_POSTGRES_CA";
/// A script with the verbs `stop`, `start`, `restart` and `kill` for that server.
const POSTGRES_CTL: &str = "FLOTILLA_TEST_POSTGRES_CTL";
/// A second server, for the tests that stop theirs: nothing but such a test uses it, one at a time.
const SPARE: &str = "FLOTILLA_TEST_POSTGRES_SPARE";
const SPARE_CTL: &str = "FLOTILLA_TEST_POSTGRES_SPARE_CTL";
/// The URL of a Consul at which everybody may do anything; without it the tests against Consul do not run.
const CONSUL: &str = "FLOTILLA_TEST_CONSUL";
/// A second server, at which nobody may do anything without the token, for the tests that stop theirs and for those of
/// tokens and TLS: nothing but such a test uses it, one at a time.
const CONSUL_SPARE: &str = "FLOTILLA_TEST_CONSUL_SPARE";
/// A script with the verbs `stop`, `start`, `restart`, `kill`, `wipe`, `pause` and `resume` for that server.
const CONSUL_CTL: &str = "FLOTILLA_TEST_CONSUL_SPARE_CTL";
const CONSUL_TOKEN: &str = "FLOTILLA_TEST_CONSUL_SPARE_TOKEN";
/// Where that server speaks TLS, and the authority that signed its certificate.
const CONSUL_TLS_PORT: &str = "FLOTILLA_TEST_CONSUL_SPARE_TLS_PORT";
const CONSUL_CA: &str = "FLOTILLA_TEST_CONSUL_SPARE_CA";
/// The node binary; without it the tests against other people's gRPC do not run.
const NODE: &str = "FLOTILLA_TEST_NODE";

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Start them and print the `export` lines
    Start,
    /// Stop them and remove what they wrote
    Stop,
    /// Print the `export` lines of the running ones
    Env,
}

pub(crate) fn run(root: &Path, verb: &Verb) -> Result<ExitCode> {
    match verb {
        Verb::Start => print_exports(root, &kept::start()?),
        Verb::Stop => kept::stop()?,
        Verb::Env => {
            print_exports(root, &kept::running()?.context("no engine runs: `cargo xtask engines start`")?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Another process may take a free port before a server binds it; more than a few times is another fault.
const PORT_TRIES: usize = 3;

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on the loopback")?;
    Ok(listener.local_addr()?.port())
}

fn print_exports(root: &Path, kept::Servers { postgres, consul }: &kept::Servers) {
    let node = node::prepare(root).unwrap_or_else(|error| {
        eprintln!("{NODE} could not be given: {error:#}");
        None
    });
    let consul = consul.iter().flat_map(|pair| consul_vars(pair.each_ref()));
    for (name, value) in postgres_vars(postgres.each_ref()).into_iter().chain(consul).chain(node_var(node)) {
        println!("export {name}='{value}'");
    }
}

/// What a run of the tests has to stand on. The engines end when this is dropped.
pub(crate) struct Engines {
    /// What the tests find in their environment.
    pub(crate) vars: Vec<(&'static str, String)>,
    /// The variables that could not be given, and why.
    pub(crate) missing: Vec<(&'static str, anyhow::Error)>,
    /// Held for their end.
    postgres: Option<[Running; 2]>,
    consul: Option<[RunningConsul; 2]>,
}

impl Engines {
    /// Starts all that can be had, for the tests of `tree`.
    pub(crate) fn start(tree: &Path) -> Self {
        let mut engines = Self { vars: Vec::new(), missing: Vec::new(), postgres: None, consul: None };
        match start_pair() {
            Ok(pair) => {
                engines.vars.extend(postgres_vars(pair.each_ref().map(Running::cluster)));
                engines.postgres = Some(pair);
            }
            Err(error) => engines.missing.push((POSTGRES, error)),
        }
        match start_consuls() {
            Ok(pair) => {
                engines.vars.extend(consul_vars(pair.each_ref().map(RunningConsul::consul)));
                engines.consul = Some(pair);
            }
            Err(error) => engines.missing.push((CONSUL, error)),
        }
        match node::prepare(tree) {
            Ok(node) => engines.vars.extend(node_var(node)),
            Err(error) => engines.missing.push((NODE, error)),
        }
        engines
    }
}

/// The server that all tests share, and the spare one.
fn start_pair() -> Result<[Running; 2]> {
    Ok([Running::start(Durability::Process)?, Running::start(Durability::Process)?])
}

/// The Consul that all tests share, and the spare one.
fn start_consuls() -> Result<[RunningConsul; 2]> {
    Ok([RunningConsul::start(Access::Open)?, RunningConsul::start(Access::Guarded)?])
}

fn consul_vars([shared, spare]: [&Consul; 2]) -> [(&'static str, String); 6] {
    [
        (CONSUL, shared.url()),
        (CONSUL_SPARE, spare.url()),
        (CONSUL_CTL, spare.ctl().display().to_string()),
        (CONSUL_TOKEN, spare.token().unwrap_or_default().to_owned()),
        (CONSUL_TLS_PORT, spare.https_port().to_string()),
        (CONSUL_CA, spare.ca().display().to_string()),
    ]
}

fn postgres_vars([shared, spare]: [&Cluster; 2]) -> [(&'static str, String); 5] {
    [
        (POSTGRES, shared.url()),
        (POSTGRES_CA, shared.ca().display().to_string()),
        (POSTGRES_CTL, shared.ctl().display().to_string()),
        (SPARE, spare.url()),
        (SPARE_CTL, spare.ctl().display().to_string()),
    ]
}

fn node_var(node: Option<PathBuf>) -> Option<(&'static str, String)> {
    node.map(|node| (NODE, node.display().to_string()))
}

/// Where engines and tools are kept between runs.
pub(crate) fn home() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("FLOTILLA_ENGINES_DIR") {
        return Ok(dir.into());
    }
    let home = std::env::home_dir().context("this user has no home: set FLOTILLA_ENGINES_DIR")?;
    Ok(home.join(".cache/flotilla/engines"))
}
