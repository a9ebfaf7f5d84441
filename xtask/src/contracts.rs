//! The protobuf contracts: their style, and that nobody who speaks the older form is cut off.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{process, tools};

/// What a comparison needs of an older state.
const COMPARED: [&str; 2] = ["buf.yaml", "shared/proto/proto"];
/// Under cargo's folder for everything that can be made again.
const ARCHIVE: &str = "target/contracts-before.tar";

pub(crate) fn lint(root: &Path) -> Result<()> {
    process::run(Command::new(tools::buf()?).current_dir(root).arg("lint"))
}

/// Compares with the newest release, or where there is none with the first commit that has contracts.
pub(crate) fn breaking(root: &Path) -> Result<()> {
    let Some(commit) = baseline(root)? else {
        if process::is_ci() {
            bail!("no release and no first contracts are in this clone: fetch the whole history, with tags");
        }
        println!("skipped: no earlier commit that has the contracts is in this clone");
        return Ok(());
    };
    fs::create_dir_all(root.join("target")).context("cannot make target")?;
    let mut archive = git(root);
    archive.args(["archive", "--format=tar", "--output", ARCHIVE, &commit]).args(COMPARED);
    process::read(&mut archive)?;
    println!("compared with {commit}");
    let mut buf = Command::new(tools::buf()?);
    process::run(buf.current_dir(root).args(["breaking", "--against", ARCHIVE]))
}

/// The newest tag of a release; else the first commit that has the contracts, which a shallow clone does not know.
fn baseline(root: &Path) -> Result<Option<String>> {
    let tags = ["tag", "--list", "v*", "--merged", "HEAD", "--sort=-version:refname"];
    let releases = process::read(git(root).args(tags))?;
    if let Some(release) = releases.lines().find(|tag| has_contracts(root, tag)) {
        return Ok(Some(release.to_owned()));
    }
    if process::read(git(root).args(["rev-parse", "--is-shallow-repository"]))?.trim() == "true" {
        return Ok(None);
    }
    let commits = process::read(git(root).args(["log", "--reverse", "--format=%H", "--"]).args(COMPARED))?;
    Ok(commits.lines().find(|commit| has_contracts(root, commit)).map(str::to_owned))
}

fn has_contracts(root: &Path, commit: &str) -> bool {
    COMPARED
        .iter()
        .all(|path| process::read(git(root).args(["cat-file", "-e", &format!("{commit}:{path}")])).is_ok())
}

fn git(root: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(root);
    command
}
