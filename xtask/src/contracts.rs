//! The protobuf contracts: their style, and that nobody who speaks the older form is cut off.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{process, tools};

/// What a comparison needs of an older state.
const COMPARED: [&str; 2] = ["buf.yaml", "shared/proto/proto"];
/// Under cargo's folder for everything that can be made again.
const ARCHIVE: &str = "target/contracts-before.tar";

pub(crate) fn lint(root: &Path) -> Result<()> {
    process::run(Command::new(tools::buf()?).current_dir(root).arg("lint"))
}

/// Compares with the newest release, or with the last commit where there is none.
pub(crate) fn breaking(root: &Path) -> Result<()> {
    let Some(commit) = baseline(root) else {
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

/// The newest tag of a release; else the last commit, which is HEAD where the contracts are being edited and its
/// parent where they are as committed.
fn baseline(root: &Path) -> Option<String> {
    let release = process::read(git(root).args(["describe", "--tags", "--abbrev=0", "--match=v*"]));
    let release = release.ok().map(|tag| tag.trim().to_owned());
    let edited = process::read(git(root).args(["diff", "--quiet", "HEAD", "--"]).args(COMPARED)).is_err();
    let last = if edited { "HEAD" } else { "HEAD~" };
    let candidates = [release, Some(last.to_owned())].into_iter().flatten();
    candidates.into_iter().find(|commit| has_contracts(root, commit))
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
