//! Tools that are no library of ours: fetched once at a pinned version and kept beside the engines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{engines, process};

const CARGO_DENY: &str = "0.20.2";
const BUF: &str = "1.75.0";

/// Checks licences, sources and who may depend on what. Building it takes minutes, once.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    let folder = kept(&format!("cargo-deny-{CARGO_DENY}"), |folder| {
        let mut install = process::cargo(folder);
        install.args(["install", "--quiet", "--locked", "cargo-deny"]);
        install.arg(format!("--version={CARGO_DENY}")).arg("--root").arg(folder);
        process::read(&mut install)
    })?;
    Ok(folder.join("bin/cargo-deny"))
}

/// Lints protobuf and finds breaking changes.
pub(crate) fn buf() -> Result<PathBuf> {
    let folder = kept(&format!("buf-{BUF}"), |folder| {
        let mut install = Command::new("npm");
        install.args(["install", "--silent", "--save-exact", "--prefix"]).arg(folder);
        process::read(install.arg(format!("@bufbuild/buf@{BUF}")))
    })?;
    Ok(folder.join("node_modules/.bin/buf"))
}

/// The folder called `name`, which is there whole or not at all.
fn kept(name: &str, install: impl FnOnce(&Path) -> Result<String>) -> Result<PathBuf> {
    let home = engines::home()?;
    let folder = home.join(name);
    if !folder.exists() {
        eprintln!("installing {name}");
        let partial = home.join(format!("{name}.partial-{}", std::process::id()));
        fs::create_dir_all(&partial).with_context(|| format!("cannot make {}", partial.display()))?;
        install(&partial)?;
        fs::rename(&partial, &folder).with_context(|| format!("cannot keep {}", folder.display()))?;
    }
    Ok(folder)
}
