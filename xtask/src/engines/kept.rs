//! The engines that a developer keeps running between runs of `cargo test`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::postgres::{Cluster, write_private};
use super::{Running, home, start_pair};

/// The running ones, or new ones.
pub(crate) fn start() -> Result<[Cluster; 2]> {
    if let Some(clusters) = running()? {
        eprintln!("already running");
        return Ok(clusters);
    }
    stop()?;
    let [shared, spare] = start_pair()?;
    fs::create_dir_all(home()?)?;
    write_private(&state()?, &serde_json::to_vec_pretty(&[shared.cluster(), spare.cluster()])?)?;
    Ok([Running::keep(shared)?, Running::keep(spare)?])
}

/// Stops those that [`start`] left, if any.
pub(crate) fn stop() -> Result<()> {
    let Some(clusters) = recorded()? else { return Ok(()) };
    for cluster in clusters.iter().filter(|cluster| cluster.dir().exists()) {
        cluster.control("stop")?;
        fs::remove_dir_all(cluster.dir())?;
    }
    fs::remove_file(state()?)?;
    Ok(())
}

/// Those that [`start`] left, if they still answer.
pub(crate) fn running() -> Result<Option<[Cluster; 2]>> {
    Ok(recorded()?.filter(|clusters| clusters.iter().all(Cluster::answers)))
}

fn recorded() -> Result<Option<[Cluster; 2]>> {
    let file = state()?;
    if !file.exists() {
        return Ok(None);
    }
    let text = fs::read(&file)?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not ours: remove it", file.display()))
}

fn state() -> Result<PathBuf> {
    Ok(home()?.join("postgres.json"))
}
