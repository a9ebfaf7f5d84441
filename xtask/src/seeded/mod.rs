//! `cargo xtask seeded`: each patch of `tests/seeded` breaks one rule in a copy of the tree, and the test that it
//! names must go red. A rule whose breaking nobody notices is no rule.

mod copy;
mod patch;
mod trial;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail, ensure};

use crate::engines::Engines;
use crate::process;
use copy::Copy;
use patch::Patch;
use trial::Outcome;

const FOLDER: &str = "tests/seeded";

/// What a patch came to.
enum Verdict {
    /// The named test went red.
    Caught,
    /// The rule was broken and the named test did not see it.
    Missed(&'static str),
    /// The patch says nothing, because it no longer fits the code.
    Stale(String),
    /// The named test lacks its engine.
    NotRun(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caught => f.write_str("caught"),
            Self::Missed(why) => write!(f, "MISSED: {why}"),
            Self::Stale(why) => write!(f, "STALE: {why}"),
            Self::NotRun(why) => write!(f, "did not run: {why}"),
        }
    }
}

/// Whether every patch still applies to the tree, which costs nothing beside running its test.
pub(crate) fn check(root: &Path) -> Result<()> {
    let refused: Vec<_> = Patch::all(&root.join(FOLDER), None)?
        .into_iter()
        .filter(|patch| {
            let mut git = Command::new("git");
            process::read(git.current_dir(root).args(["apply", "--check"]).arg(&patch.file)).is_err()
        })
        .map(|patch| patch.name())
        .collect();
    ensure!(refused.is_empty(), "the code has moved on from under {}", refused.join(", "));
    Ok(())
}

pub(crate) fn run(root: &Path, only: Option<&str>) -> Result<ExitCode> {
    let copy = Copy::of(root)?;
    // Those of the copy, which fit its code whatever is done to the tree meanwhile.
    let patches = Patch::all(&copy.tree().join(FOLDER), only)?;
    if patches.is_empty() {
        bail!("no patch in {FOLDER} has such a name");
    }
    let engines = Engines::start(copy.tree());
    for (variable, error) in &engines.missing {
        println!("{variable} could not be given: {error:#}");
    }
    let mut unpatched = BTreeMap::new();
    for patch in &patches {
        if !unpatched.contains_key(&patch.red) {
            println!("unpatched: cargo {}", patch.red.args.join(" "));
            unpatched.insert(patch.red.clone(), trial::run(&patch.red, &copy, &engines)?);
        }
    }
    let (mut caught, mut not_run) = (0, 0);
    for patch in &patches {
        let verdict = judge(patch, &unpatched[&patch.red], &copy, &engines)?;
        println!("{}: {verdict} ({})", patch.name(), patch.rule);
        caught += usize::from(matches!(verdict, Verdict::Caught));
        not_run += usize::from(matches!(verdict, Verdict::NotRun(_)));
    }
    let left_out = if not_run > 0 { format!(", {not_run} did not run") } else { String::new() };
    println!("{caught} of {} caught{left_out}", patches.len());
    let excused = if process::is_ci() { 0 } else { not_run };
    Ok(if caught + excused == patches.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn judge(patch: &Patch, unpatched: &Outcome, copy: &Copy, engines: &Engines) -> Result<Verdict> {
    match unpatched {
        Outcome::Passed => {}
        Outcome::Skipped(why) => return Ok(Verdict::NotRun(why.clone())),
        Outcome::Failed => return Ok(Verdict::Stale("the named test fails on the code as it is".to_owned())),
        Outcome::Hung => return Ok(Verdict::Stale("the named test hangs on the code as it is".to_owned())),
        Outcome::Absent(said) => return Ok(Verdict::Stale(format!("the named test does not run{said}"))),
    }
    if let Err(error) = copy.apply(&patch.file) {
        return Ok(Verdict::Stale(format!("it does not apply: {error:#}")));
    }
    let outcome = trial::run(&patch.red, copy, engines);
    copy.revert(&patch.file)?;
    Ok(match outcome? {
        Outcome::Failed => Verdict::Caught,
        Outcome::Passed => Verdict::Missed("the named test still passes"),
        Outcome::Hung => Verdict::Missed("the named test hangs instead of failing"),
        Outcome::Skipped(why) => Verdict::NotRun(why),
        Outcome::Absent(said) => Verdict::Stale(format!("with it the code does not build{said}")),
    })
}
