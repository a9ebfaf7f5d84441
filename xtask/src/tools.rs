//! Tools that are no library of ours: fetched once at a pinned version and kept beside the engines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{engines, process};

const CARGO_DENY: &str = "0.20.2";
const BUF: &str = "1.75.0";

/// Checks licences, sources and who may depend on what. Building it takes minutes, once.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    kept(&format!("cargo-deny-{CARGO_DENY}"), "bin/cargo-deny", |folder| {
        let mut install = process::cargo(folder);
        install.args(["install", "--quiet", "--locked", "cargo-deny"]);
        install.arg(format!("--version={CARGO_DENY}")).arg("--root").arg(folder);
        process::read(&mut install)
    })
}

/// Lints protobuf and finds breaking changes.
pub(crate) fn buf() -> Result<PathBuf> {
    kept(&format!("buf-{BUF}"), "node_modules/.bin/buf", |folder| {
        let mut install = Command::new(engines::npm()?);
        install.args(["install", "--silent", "--save-exact", "--prefix"]).arg(folder);
        process::read(install.arg(format!("@bufbuild/buf@{BUF}")))
    })
}

/// The file `program` in the folder called `name`, which is there whole or not at all.
pub(crate) fn kept(
    name: &str,
    program: &str,
    install: impl FnOnce(&Path) -> Result<String>,
) -> Result<PathBuf> {
    kept_in(&engines::home()?, name, program, install)
}

fn kept_in(
    home: &Path,
    name: &str,
    program: &str,
    install: impl FnOnce(&Path) -> Result<String>,
) -> Result<PathBuf> {
    let folder = home.join(name);
    let wanted = folder.join(program);
    if wanted.is_file() {
        return Ok(wanted);
    }
    eprintln!("installing {name}");
    let partial = home.join(format!("{name}.partial-{}", std::process::id()));
    for left_over in [&folder, &partial].into_iter().filter(|folder| folder.exists()) {
        fs::remove_dir_all(left_over).with_context(|| format!("cannot remove {}", left_over.display()))?;
    }
    fs::create_dir_all(&partial).with_context(|| format!("cannot make {}", partial.display()))?;
    install(&partial)?;
    ensure!(partial.join(program).is_file(), "the installation of {name} brought no {program}");
    fs::rename(&partial, &folder).with_context(|| format!("cannot keep {}", folder.display()))?;
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_installed_once_and_again_where_its_folder_lacks_it() -> Result<()> {
        let home = std::env::temp_dir().join(format!("flotilla-tools-{}", std::process::id()));
        let install = |folder: &Path| {
            fs::write(folder.join("tool"), "whole")?;
            Ok(String::new())
        };
        fs::create_dir_all(home.join("tool-1"))?;
        let tool = kept_in(&home, "tool-1", "tool", install)?;
        assert_eq!(fs::read_to_string(&tool)?, "whole");
        kept_in(&home, "tool-1", "tool", |_| panic!("it is there"))?;
        let without = kept_in(&home, "tool-2", "tool", |_| Ok(String::new()));
        assert_eq!(without.unwrap_err().to_string(), "the installation of tool-2 brought no tool");
        assert!(!home.join("tool-2").exists());
        fs::remove_dir_all(home)?;
        Ok(())
    }
}
