use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::account;
use crate::process;

/// The major version that the platform is tested against.
const MAJOR: &str = "15";

/// The oldest Go that knows the `tool` lines by which our modules name what they build.
const GO: [u32; 2] = [1, 24];

/// Debian starts a cluster of its own at installation unless told not to. `--force-confold` keeps that file from
/// raising a question nobody is there to answer.
const INSTALL: &str = r#"
conf=/etc/postgresql-common/createcluster.conf
[ -e "$conf" ] || { mkdir -p "${conf%/*}" && echo "create_main_cluster = false" >"$conf"; }
export DEBIAN_FRONTEND=noninteractive
get() { apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@"; }
get "$@" || { apt-get update && get "$@"; }
"#;

/// The node that runs other people's gRPC.
pub(crate) fn node() -> Result<PathBuf> {
    program("node", "nodejs")
}

/// What installs the packages of node, and the tools that come as such.
pub(crate) fn npm() -> Result<PathBuf> {
    program("npm", "npm")
}

/// What makes the certificates and passwords of the servers.
pub(crate) fn openssl() -> Result<PathBuf> {
    program("openssl", "openssl")
}

/// What builds the engines that are written in Go.
pub(crate) fn go() -> Result<PathBuf> {
    let go = program("go", "golang-go")?;
    // "go1.26.8"
    let version = process::read(Command::new(&go).args(["env", "GOVERSION"]))?;
    let number = version.trim().trim_start_matches("go").splitn(3, '.').map(str::parse::<u32>);
    let number: Vec<u32> = number.map_while(Result::ok).collect();
    if number < GO.to_vec() {
        bail!("{} is {}, must be go{}.{} or newer", go.display(), version.trim(), GO[0], GO[1]);
    }
    Ok(go)
}

/// A program on the search path; installs `package` where it is not there and can be had.
fn program(name: &str, package: &str) -> Result<PathBuf> {
    if let Some(found) = in_path(name) {
        return Ok(found);
    }
    packages(&[package]).with_context(|| format!("{name} is not here and cannot be installed"))?;
    in_path(name).with_context(|| format!("the package {package} brought no {name}"))
}

/// The folder of PostgreSQL's programs; installs them where Debian's packages and the right to do so are there.
pub(crate) fn postgres() -> Result<PathBuf> {
    if let Some(bin) = postgres_bin() {
        return Ok(bin);
    }
    packages(&[&format!("postgresql-{MAJOR}")])
        .with_context(|| format!("PostgreSQL {MAJOR} is not here and cannot be installed"))?;
    postgres_bin().with_context(|| format!("the package postgresql-{MAJOR} brought no server"))
}

fn postgres_bin() -> Option<PathBuf> {
    let debian = Path::new("/usr/lib/postgresql").join(MAJOR).join("bin");
    let elsewhere = process::read(Command::new("pg_config").arg("--bindir"));
    let found = [Some(debian), elsewhere.ok().map(|dir| PathBuf::from(dir.trim()))];
    found.into_iter().flatten().find(|dir| is_major(dir))
}

fn is_major(bin: &Path) -> bool {
    // "postgres (PostgreSQL) 15.18 (Debian 15.18-0)"
    process::read(Command::new(bin.join("postgres")).arg("--version"))
        .is_ok_and(|line| line.split(' ').nth(2).is_some_and(|v| v.split('.').next() == Some(MAJOR)))
}

fn packages(names: &[&str]) -> Result<()> {
    if in_path("apt-get").is_none() {
        bail!("there is no apt-get: install {} by hand", names.join(" "));
    }
    let mut command = if account::is_root() { Command::new("sh") } else { Command::new("sudo") };
    if !account::is_root() {
        command.args(["-n", "sh"]);
    }
    eprintln!("installing {}", names.join(" "));
    process::read(command.args(["-c", INSTALL, "install"]).args(names)).map(drop)
}

/// The file that `name` means on the search path.
fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}
