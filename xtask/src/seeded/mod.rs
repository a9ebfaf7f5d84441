//! `cargo xtask seeded`: each patch of `tests/seeded` breaks one rule in a copy of the tree, and the test that it
//! names must go red. A rule whose breaking nobody notices is no rule.

mod copy;
mod patch;
mod trial;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::engines::Engines;
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
    Stale(&'static str),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caught => f.write_str("caught"),
            Self::Missed(why) => write!(f, "MISSED: {why}"),
            Self::Stale(why) => write!(f, "STALE: {why}"),
        }
    }
}

pub(crate) fn run(root: &Path, only: Option<&str>) -> Result<ExitCode> {
    let patches = Patch::all(&root.join(FOLDER), only)?;
    if patches.is_empty() {
        bail!("no patch in {FOLDER} has such a name");
    }
    let copy = Copy::of(root)?;
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
    let mut caught = 0;
    for patch in &patches {
        let verdict = match unpatched.get(&patch.red) {
            Some(Outcome::Passed) => judge(patch, &copy, &engines)?,
            _ => Verdict::Stale("the named test does not pass on the code as it is"),
        };
        println!("{}: {verdict} ({})", patch.name(), patch.rule);
        caught += usize::from(matches!(verdict, Verdict::Caught));
    }
    println!("{caught} of {} caught", patches.len());
    Ok(if caught == patches.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn judge(patch: &Patch, copy: &Copy, engines: &Engines) -> Result<Verdict> {
    if copy.apply(&patch.file).is_err() {
        return Ok(Verdict::Stale("it does not apply"));
    }
    let outcome = trial::run(&patch.red, copy, engines);
    copy.revert(&patch.file)?;
    Ok(match outcome? {
        Outcome::Failed => Verdict::Caught,
        Outcome::Passed => Verdict::Missed("the named test still passes"),
        Outcome::Hung => Verdict::Missed("the named test hangs instead of failing"),
        Outcome::Absent => Verdict::Stale("with it the code does not build"),
    })
}
