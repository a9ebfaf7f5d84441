use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::copy::Copy;
use super::patch::Red;
use crate::engines::Engines;
use crate::process;

/// A patch may make a test hang. This is far above what building and running one test takes on two cores.
const LIMIT: Duration = Duration::from_mins(20);

/// What became of the one test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// No such test ran to its end: it is not there, or the code did not build.
    Absent,
    /// It had no verdict within [`LIMIT`].
    Hung,
}

/// Runs the test and looks for its own line, because a command fails for many reasons.
pub(crate) fn run(red: &Red, copy: &Copy, engines: &Engines) -> Result<Outcome> {
    let mut command = process::cargo(copy.tree());
    command.args(&red.args).env("CARGO_TARGET_DIR", copy.target());
    command.envs(engines.vars.iter().map(|(name, value)| (name, value)));
    // A group of its own can be ended whole: cargo, the harness and what the test has started.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().context("cannot start cargo")?;
    let outcome = watch(&mut child, &red.test)?;
    if outcome == Outcome::Hung {
        process::read(Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]))?;
    }
    child.wait()?;
    Ok(outcome)
}

fn watch(child: &mut Child, test: &str) -> Result<Outcome> {
    let lines = BufReader::new(child.stdout.take().context("cargo has no output")?).lines();
    let (sender, receiver) = mpsc::channel();
    // It ends with the pipe.
    thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let end = Instant::now() + LIMIT;
    let mut outcome = Outcome::Absent;
    loop {
        match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => outcome = verdict(&line, test).unwrap_or(outcome),
            Err(RecvTimeoutError::Disconnected) => return Ok(outcome),
            Err(RecvTimeoutError::Timeout) => return Ok(Outcome::Hung),
        }
    }
}

/// Reads "test module::name ... FAILED".
fn verdict(line: &str, test: &str) -> Option<Outcome> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    if name != test && !name.ends_with(&format!("::{test}")) {
        return None;
    }
    match result {
        "ok" => Some(Outcome::Passed),
        "FAILED" => Some(Outcome::Failed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_verdict_on_the_named_test_counts() {
        assert_eq!(verdict("test store::kept ... FAILED", "kept"), Some(Outcome::Failed));
        assert_eq!(verdict("test store::kept ... ok", "store::kept"), Some(Outcome::Passed));
        assert_eq!(verdict("test kept - should panic ... ok", "kept"), Some(Outcome::Passed));
        assert_eq!(verdict("test store::never_kept ... FAILED", "kept"), None);
        assert_eq!(verdict("test kept ... ignored", "kept"), None);
        assert_eq!(verdict("test result: FAILED. 0 passed; 1 failed", "kept"), None);
    }
}
