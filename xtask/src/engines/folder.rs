use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
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
    let dir = create(&parent, "postgres")?;
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

/// A new folder for a server that runs as we do.
pub(crate) fn own(engine: &str) -> Result<PathBuf> {
    create(&std::env::temp_dir(), engine)
}

fn create(parent: &Path, engine: &str) -> Result<PathBuf> {
    for number in 0..FOLDERS {
        let dir = parent.join(format!("flotilla-{engine}-{}-{number}", std::process::id()));
        match fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot make {}", dir.display())),
        }
    }
    bail!("{} holds {FOLDERS} folders for {engine} of this process", parent.display())
}

/// Writes a new file that its owner alone may read.
pub(crate) fn write_private(file: &Path, bytes: &[u8]) -> Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    made.and_then(|mut open| open.write_all(bytes))
        .with_context(|| format!("cannot write {}", file.display()))
}

fn in_memory(dir: &Path) -> bool {
    process::read(Command::new("stat").args(["--file-system", "--format=%T"]).arg(dir))
        .is_ok_and(|kind| matches!(kind.trim(), "tmpfs" | "ramfs"))
}
