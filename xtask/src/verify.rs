//! `cargo xtask verify`: what a change must pass. Every step runs even when an earlier one failed, so that one run
//! tells all that is wrong.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{contracts, process, seeded, test_run, tidy, tools};

/// Optimised, since a seed then takes a second; twice, because a failure that cannot be replayed cannot be mended.
const SIMULATION: [&str; 7] = ["run", "--release", "--package=simulation", "--", "--seeds", "20", "--twice"];

pub(crate) fn run(root: &Path) -> Result<ExitCode> {
    let mut steps = Steps::default();
    steps.run("fmt", || cargo(root, &["fmt", "--all", "--check"]));
    steps.run("clippy", || cargo(root, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    steps.run("docs", || {
        let mut doc = process::cargo(root);
        process::run(doc.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps"]))
    });
    steps.run("deny", || {
        let mut deny = Command::new(tools::cargo_deny()?);
        process::run(deny.current_dir(root).args(["check", "bans", "licenses", "sources"]))
    });
    steps.run("tidy", || tidy::check(root));
    steps.run("contracts: lint", || contracts::lint(root));
    steps.run("contracts: breaking", || contracts::breaking(root));
    steps.run("seeded: patches apply", || seeded::check(root));
    steps.run("simulation", || cargo(root, &SIMULATION));
    let mut closing = None;
    steps.run("test", || {
        let (report, green) = test_run::report(root, &test_run::Selection::default())?;
        closing = Some(report);
        if green { Ok(()) } else { bail!("not all tests ran and passed") }
    });
    let good = steps.summary();
    if let Some(report) = closing {
        println!("{report}");
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn cargo(root: &Path, args: &[&str]) -> Result<()> {
    process::run(process::cargo(root).args(args))
}

#[derive(Default)]
struct Steps(Vec<(&'static str, Duration, bool)>);

impl Steps {
    fn run(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) {
        println!("== {name}");
        let start = Instant::now();
        let outcome = step();
        if let Err(error) = &outcome {
            println!("{name}: {error:#}");
        }
        self.0.push((name, start.elapsed(), outcome.is_ok()));
    }

    /// Prints a line for each step; says whether all were good.
    fn summary(&self) -> bool {
        println!("== summary");
        for (name, time, good) in &self.0 {
            println!("{:6.1} s  {}  {name}", time.as_secs_f64(), if *good { "ok    " } else { "FAILED" });
        }
        self.0.iter().all(|(_, _, good)| *good)
    }
}
