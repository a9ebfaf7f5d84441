//! The engines that a developer keeps running between runs of `cargo test`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::consul::Consul;
use super::folder::write_private;
use super::postgres::Cluster;
use super::{CONSUL, Running, RunningConsul, home, start_consuls, start_pair};

/// The engines that run on after us.
#[derive(Serialize, Deserialize)]
pub(crate) struct Servers {
    pub(crate) postgres: [Cluster; 2],
    /// Where it could be built.
    pub(crate) consul: Option<[Consul; 2]>,
}

/// The running ones, or new ones.
pub(crate) fn start() -> Result<Servers> {
    if let Some(servers) = running()? {
        eprintln!("already running");
        return Ok(servers);
    }
    stop()?;
    let [shared, spare] = start_pair()?;
    let consuls =
        start_consuls().inspect_err(|error| eprintln!("{CONSUL} could not be given: {error:#}")).ok();
    let postgres = [Running::keep(shared)?, Running::keep(spare)?];
    let consul = match consuls {
        Some([shared, spare]) => Some([RunningConsul::keep(shared)?, RunningConsul::keep(spare)?]),
        None => None,
    };
    let servers = Servers { postgres, consul };
    fs::create_dir_all(home()?)?;
    write_private(&state()?, &serde_json::to_vec_pretty(&servers)?)?;
    Ok(servers)
}

/// Stops those that [`start`] left, if any.
pub(crate) fn stop() -> Result<()> {
    let Some(servers) = recorded()? else { return Ok(()) };
    for cluster in &servers.postgres {
        end(cluster.dir(), || cluster.control("stop"))?;
    }
    for consul in servers.consul.iter().flatten() {
        end(consul.dir(), || consul.control("stop"))?;
    }
    fs::remove_file(state()?)?;
    Ok(())
}

fn end(dir: &Path, stop: impl FnOnce() -> Result<()>) -> Result<()> {
    if dir.exists() {
        stop()?;
        fs::remove_dir_all(dir)?;
    }
    Ok(())
}

/// Those that [`start`] left, if they still answer.
pub(crate) fn running() -> Result<Option<Servers>> {
    let answer = |servers: &Servers| {
        servers.postgres.iter().all(Cluster::answers) && servers.consul.iter().flatten().all(Consul::answers)
    };
    Ok(recorded()?.filter(answer))
}

fn recorded() -> Result<Option<Servers>> {
    let file = state()?;
    if !file.exists() {
        return Ok(None);
    }
    let text = fs::read(&file)?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not ours: remove it", file.display()))
}

fn state() -> Result<PathBuf> {
    Ok(home()?.join("servers.json"))
}
