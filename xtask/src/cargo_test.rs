//! `cargo test` as we see it: the lines of the test harnesses, read while they pass.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

/// A test that lacks an engine says so by naming the variable that would have led to it.
pub(crate) const ENGINE_VARIABLES: &str = "FLOTILLA_TEST_";

/// What all test binaries of a run said together.
#[derive(Default, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    ignored: usize,
    /// Tests that returned at once, and the reason they gave.
    pub(crate) skipped: Vec<(String, String)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The harness knows nothing of the skipped ones: it has them among the passed.
        let passed = self.passed - self.skipped.len();
        write!(f, "{passed} passed, {} failed", self.failed)?;
        match self.ignored + self.skipped.len() {
            0 => Ok(()),
            skipped => write!(f, ", {skipped} skipped"),
        }
    }
}

/// Runs a `cargo test … -- --show-output`, shows what it shows without that option, and adds up.
pub(crate) fn run_loudly(command: &mut Command) -> Result<Report> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let mut reader = Reader::default();
    for line in BufReader::new(child.stdout.take().context("cargo has no output")?).lines() {
        let line = line?;
        if reader.take(&line) {
            println!("{line}");
        }
    }
    let mut report = reader.report;
    if !child.wait()?.success() && report.failed == 0 {
        println!("cargo test failed, and not because a test did: it did not build, or a test binary died");
        report.failed = 1;
    }
    Ok(report)
}

#[derive(Default)]
struct Reader {
    report: Report,
    /// Inside what passed tests said, and which test it is.
    success: Option<String>,
}

impl Reader {
    /// Takes one line in; says whether it is to be shown.
    fn take(&mut self, line: &str) -> bool {
        if line == "successes:" {
            self.success.get_or_insert_default();
        } else if line == "failures:" {
            self.success = None;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.success = None;
            self.add(result);
        } else if let Some(test) = &mut self.success {
            if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"))
            {
                name.clone_into(test);
            } else if line.contains(ENGINE_VARIABLES) && !test.is_empty() {
                self.report.skipped.push((std::mem::take(test), line.to_owned()));
            }
        }
        self.success.is_none()
    }

    /// "ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s"
    fn add(&mut self, result: &str) {
        let counts = result.split_once(". ").map_or("", |(_, counts)| counts);
        for (number, word) in counts.split("; ").filter_map(|count| count.split_once(' ')) {
            let total = match word {
                "passed" => &mut self.report.passed,
                "failed" => &mut self.report.failed,
                "ignored" => &mut self.report.ignored,
                _ => continue,
            };
            *total += number.parse().unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Report, Vec<&str>) {
        let mut reader = Reader::default();
        let shown = text.lines().filter(|line| reader.take(line)).collect();
        (reader.report, shown)
    }

    #[test]
    fn the_results_of_all_binaries_are_added_up() {
        let (report, _) = read(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
             test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.01s\n",
        );
        assert_eq!(report.to_string(), "15 passed, 2 failed, 1 skipped");
    }

    #[test]
    fn nothing_skipped_is_not_mentioned() {
        assert_eq!(read("test result: ok. 1 passed; 0 failed;").0.to_string(), "1 passed, 0 failed");
    }

    #[test]
    fn a_test_that_lacked_its_engine_counts_as_skipped_and_is_named() {
        let (report, shown) = read(
            "test kept ... ok\n\
             successes:\n\
             ---- kept stdout ----\n\
             FLOTILLA_TEST_POSTGRES is not set\n\
             FLOTILLA_TEST_POSTGRES is not set\n\
             ---- chatty stdout ----\n\
             hello\n\
             successes:\n    chatty\n    kept\n\
             failures:\n\
             ---- broken stdout ----\n\
             FLOTILLA_TEST_POSTGRES is wrong\n\
             test result: FAILED. 2 passed; 1 failed; 0 ignored",
        );
        assert_eq!(report.skipped, [("kept".to_owned(), "FLOTILLA_TEST_POSTGRES is not set".to_owned())]);
        assert_eq!(report.to_string(), "1 passed, 1 failed, 1 skipped");
        assert_eq!(
            shown,
            [
                "test kept ... ok",
                "failures:",
                "---- broken stdout ----",
                "FLOTILLA_TEST_POSTGRES is wrong",
                "test result: FAILED. 2 passed; 1 failed; 0 ignored",
            ]
        );
    }
}
