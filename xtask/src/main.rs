//! The project's own tool, `cargo xtask VERB`: everything a developer or CI does to this repository beyond
//! `cargo build`, written once and run the same everywhere.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's tool: it reads the environment, times its steps and talks to a terminal"
)]

mod bench;
mod cargo_test;
mod contracts;
mod engines;
mod process;
mod seeded;
mod test_run;
mod tidy;
mod tools;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "xtask",
    bin_name = "cargo xtask",
    about = "Checks, tests and measures this repository",
    version
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run what CI runs: format, lints, docs, dependencies, tidy, contracts, seeded patches, simulation, tests
    Verify,
    /// Start the engines that the tests need, run the tests, stop the engines
    Test(test_run::Selection),
    /// Keep engines running beside repeated `cargo test`
    Engines {
        #[command(subcommand)]
        verb: engines::Verb,
    },
    /// Check layers, sizes, names, rooms and the paths that the documents name
    Tidy,
    /// Break one rule at a time in a copy of the tree and expect the named test to go red
    Seeded {
        /// Only the patches whose file name contains this
        only: Option<String>,
    },
    /// Run a benchmark, beside a durable PostgreSQL where it needs one
    Bench {
        /// The benchmark's name
        name: String,
        /// Handed to the benchmark as they are
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    run(Cli::parse().verb).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(verb: Verb) -> Result<ExitCode> {
    let root = root();
    match verb {
        Verb::Verify => verify::run(&root),
        Verb::Test(selection) => test_run::run(&root, &selection),
        Verb::Engines { verb } => engines::run(&root, &verb),
        Verb::Tidy => tidy::run(&root),
        Verb::Seeded { only } => seeded::run(&root, only.as_deref()),
        Verb::Bench { name, args } => bench::run(&root, &name, &args),
    }
}

/// The repository's root: the folder above this crate.
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or_else(|| here.clone(), Path::to_path_buf)
}
