use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::copy::Copy;
use super::patch::Red;
use crate::cargo_test::ENGINE_VARIABLES;
use crate::engines::Engines;
use crate::process;

/// A patch may make a test hang. This is far above what building and running one test takes on two cores.
const LIMIT: Duration = Duration::from_mins(20);

/// What became of the one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// It lacked its engine, and says which.
    Skipped(String),
    /// No such test ran to its end: it is not there, or the code did not build. The end of what cargo said.
    Absent(String),
    /// It had no verdict within [`LIMIT`].
    Hung,
}

/// Runs the test and looks for its own line, because a command fails for many reasons.
pub(crate) fn run(red: &Red, copy: &Copy, engines: &Engines) -> Result<Outcome> {
    let mut command = process::cargo(copy.tree());
    // What a passed test said is how it tells that it lacked its engine.
    command.args(&red.args).args(["--", "--show-output"]).env("CARGO_TARGET_DIR", copy.target());
    command.envs(engines.vars.iter().map(|(name, value)| (name, value)));
    // A group of its own can be ended whole: cargo, the harness and what the test has started.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start cargo")?;
    let mut stderr = child.stderr.take().context("cargo has no stderr")?;
    let said = thread::spawn(move || {
        let mut said = Vec::new();
        // A pipe that breaks ends what can be shown, and no more.
        drop(stderr.read_to_end(&mut said));
        said
    });
    let watched = watch(&mut child, &red.test)?;
    if watched == Watched::Hung {
        process::read(Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]))?;
    }
    child.wait()?;
    let said = said.join().unwrap_or_default();
    Ok(watched.outcome(|| process::tail_of(&String::from_utf8_lossy(&said))))
}

/// What the test's lines say so far.
#[derive(Debug, Default, PartialEq, Eq)]
enum Watched {
    #[default]
    Nothing,
    Passed,
    Failed,
    Skipped(String),
    Hung,
}

impl Watched {
    fn outcome(self, said: impl FnOnce() -> String) -> Outcome {
        match self {
            Self::Nothing => Outcome::Absent(said()),
            Self::Passed => Outcome::Passed,
            Self::Failed => Outcome::Failed,
            Self::Skipped(why) => Outcome::Skipped(why),
            Self::Hung => Outcome::Hung,
        }
    }

    /// Takes one line in.
    fn after(self, line: &str, test: &str) -> Self {
        match verdict(line, test) {
            Some(verdict) => verdict,
            None if self == Self::Passed && line.contains(ENGINE_VARIABLES) => Self::Skipped(line.to_owned()),
            None => self,
        }
    }
}

fn watch(child: &mut Child, test: &str) -> Result<Watched> {
    let lines = BufReader::new(child.stdout.take().context("cargo has no output")?).lines();
    let (sender, receiver) = mpsc::channel();
    // It ends with the pipe.
    thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let end = Instant::now() + LIMIT;
    let mut watched = Watched::default();
    loop {
        match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => watched = watched.after(&line, test),
            Err(RecvTimeoutError::Disconnected) => return Ok(watched),
            Err(RecvTimeoutError::Timeout) => return Ok(Watched::Hung),
        }
    }
}

/// Reads "test module::name ... FAILED".
fn verdict(line: &str, test: &str) -> Option<Watched> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    if name != test && !name.ends_with(&format!("::{test}")) {
        return None;
    }
    match result {
        "ok" => Some(Watched::Passed),
        "FAILED" => Some(Watched::Failed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_verdict_on_the_named_test_counts() {
        assert_eq!(verdict("test store::kept ... FAILED", "kept"), Some(Watched::Failed));
        assert_eq!(verdict("test store::kept ... ok", "store::kept"), Some(Watched::Passed));
        assert_eq!(verdict("test kept - should panic ... ok", "kept"), Some(Watched::Passed));
        assert_eq!(verdict("test store::never_kept ... FAILED", "kept"), None);
        assert_eq!(verdict("test kept ... ignored", "kept"), None);
        assert_eq!(verdict("test result: FAILED. 0 passed; 1 failed", "kept"), None);
    }

    #[test]
    fn a_test_that_lacks_its_engine_says_so_and_one_that_fails_for_it_does_not_count_as_such() {
        let read = |text: &str| text.lines().fold(Watched::default(), |seen, line| seen.after(line, "kept"));
        let lacking = "FLOTILLA_TEST_POSTGRES is not set";
        assert_eq!(read(&format!("test kept ... ok\n{lacking}")), Watched::Skipped(lacking.to_owned()));
        assert_eq!(read(&format!("test kept ... FAILED\n{lacking}")), Watched::Failed);
        assert_eq!(
            read("test other ... ok").outcome(|| "error".to_owned()),
            Outcome::Absent("error".to_owned())
        );
    }
}
