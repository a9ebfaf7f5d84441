//! The simulation's command: one seed, or many of them, each in a process of its own.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use simulation::driver::Driver;
use simulation::world;
use telemetry::{LogFormat, Logs};

/// Runs the platform in a simulated world, where a seed decides everything
#[derive(Parser)]
#[command(name = "simulation", version)]
struct Arguments {
    /// Run this seed alone and tell its end
    #[arg(long, conflicts_with_all = ["seeds", "from", "twice"])]
    seed: Option<u64>,
    /// With --seed: what the services log on the way, such as `info`
    #[arg(long, requires = "seed")]
    log: Option<String>,
    /// With --seed: all that happened, before the report
    #[arg(long, requires = "seed", conflicts_with = "json")]
    history: bool,
    /// With --seed: the report as one line of JSON
    #[arg(long, requires = "seed")]
    json: bool,
    /// Run so many seeds
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Run each seed twice and compare the histories
    #[arg(long)]
    twice: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let is_right = match arguments.seed {
        Some(seed) => run_one(seed, &arguments)?,
        None => Driver { from: arguments.from, seeds: arguments.seeds, twice: arguments.twice }
            .run(&mut io::stdout().lock())?,
    };
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_one(seed: u64, arguments: &Arguments) -> anyhow::Result<bool> {
    if let Some(filter) = &arguments.log {
        Logs::init(LogFormat::Human, filter).context("starting the log")?;
    }
    let report = world::run(seed)?;
    let told = if arguments.json { serde_json::to_string(&report)? } else { report.told(seed) };
    let mut out = io::stdout().lock();
    if arguments.history {
        report.lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    writeln!(out, "{told}")?;
    Ok(report.violations.is_empty())
}
