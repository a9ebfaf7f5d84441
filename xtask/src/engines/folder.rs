use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::account::Account;
use super::postgres::Durability;
use crate::process;

/// More folders than this beside each other are left-overs to look into, not company.
const FOLDERS: usize = 100;

/// A new folder for a cluster, which the server's account can reach but not change.
pub(crate) fn fresh(durability: Durability) -> Result<PathBuf> {
    let parent = std::env::temp_dir();
    if durability == Durability::Machine && in_memory(&parent) {
        bail!(
            "{} is in memory, where nothing is durable: set TMPDIR to a folder on a disk",
            parent.display()
        );
    }
    let dir = create(&parent)?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
    let mut enter = Account::of_server().command(Path::new("test"), Path::new("/"));
    if let Err(error) = process::read(enter.arg("-x").arg(&dir)) {
        fs::remove_dir(&dir)?;
        return Err(error.context(format!(
            "the server's account cannot reach {}: set TMPDIR to a folder that it can",
            parent.display()
        )));
    }
    Ok(dir)
}

fn create(parent: &Path) -> Result<PathBuf> {
    for number in 0..FOLDERS {
        let dir = parent.join(format!("flotilla-postgres-{}-{number}", std::process::id()));
        match fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot make {}", dir.display())),
        }
    }
    bail!("{} holds {FOLDERS} clusters of this process", parent.display())
}

fn in_memory(dir: &Path) -> bool {
    process::read(Command::new("stat").args(["--file-system", "--format=%T"]).arg(dir))
        .is_ok_and(|kind| matches!(kind.trim(), "tmpfs" | "ramfs"))
}
