//! `cargo xtask bench`: hands over to the `benches` crate with the engines that it measures beside.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::engines::{Durability, Running};
use crate::process;

/// A superuser's URL of a server that survives a power cut.
const POSTGRES: &str = "FLOTILLA_BENCH_POSTGRES";
/// The peer that the data layer is measured beside.
const PGBENCH: &str = "FLOTILLA_BENCH_PGBENCH";
/// The benches that measure what is embedded alone.
const WITHOUT_SERVER: [&str; 4] = ["gateway", "resilience", "start", "stuffing"];

pub(crate) fn run(root: &Path, name: &str, args: &[String]) -> Result<ExitCode> {
    // Nothing else may run beside the server while it is measured, a compiler least of all.
    process::run(process::cargo(root).args(["build", "--release", "--package=benches"]))?;
    let mut bench = process::cargo(root);
    bench.args(["run", "--release", "--package=benches", "--", name]).args(args);
    if WITHOUT_SERVER.contains(&name) {
        process::run(&mut bench)?;
        return Ok(ExitCode::SUCCESS);
    }
    let server = Running::start(Durability::Machine)?;
    let cluster = server.cluster();
    process::run(bench.env(POSTGRES, cluster.url()).env(PGBENCH, cluster.pgbench()))?;
    Ok(ExitCode::SUCCESS)
}
