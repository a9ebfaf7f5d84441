use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::install;
use crate::process;

/// Where the tests that want node live, and their locked packages.
const FOLDER: &str = "tests/interop";

/// The node of this machine, with the packages that `tree`'s tests need; none when no test needs it.
pub(crate) fn prepare(tree: &Path) -> Result<Option<PathBuf>> {
    let folder = tree.join(FOLDER);
    let lock = folder.join("package-lock.json");
    if !lock.exists() {
        return Ok(None);
    }
    let node = install::node()?;
    if !is_installed(&folder, &lock) {
        eprintln!("installing the locked packages of {FOLDER}");
        process::read(Command::new(install::npm()?).current_dir(&folder).args([
            "ci",
            "--no-audit",
            "--no-fund",
        ]))?;
    }
    Ok(Some(node))
}

/// npm writes what it installed into a lock of its own, last.
fn is_installed(folder: &Path, lock: &Path) -> bool {
    let time = |file: &Path| fs::metadata(file).and_then(|meta| meta.modified()).ok();
    time(&folder.join("node_modules/.package-lock.json")).is_some_and(|done| Some(done) >= time(lock))
}
