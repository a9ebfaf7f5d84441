//! `cargo xtask test`: the tests with everything they stand on.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::cargo_test::{Report, run_loudly};
use crate::engines::Engines;
use crate::process;

#[derive(Args, Default)]
pub(crate) struct Selection {
    /// Only this crate; may be given more than once
    #[arg(short, long = "package", value_name = "CRATE")]
    packages: Vec<String>,
    /// Handed to `cargo test`, as in `cargo xtask test -- NAME -- --nocapture`
    #[arg(last = true)]
    args: Vec<String>,
}

impl Selection {
    /// The arguments of `cargo test`. All crates are run even when one fails, and what a passed test said is
    /// shown to us, because that is how a test says that it lacked its engine.
    fn arguments(&self) -> Vec<String> {
        let (cargo, harness) = match self.args.iter().position(|arg| arg == "--") {
            Some(end) => (&self.args[..end], &self.args[end + 1..]),
            None => (&self.args[..], &[][..]),
        };
        let mut arguments = vec!["test".to_owned(), "--no-fail-fast".to_owned()];
        if self.packages.is_empty() {
            arguments.push("--workspace".to_owned());
        }
        arguments.extend(self.packages.iter().map(|name| format!("--package={name}")));
        arguments.extend_from_slice(cargo);
        arguments.extend(["--".to_owned(), "--show-output".to_owned()]);
        arguments.extend_from_slice(harness);
        arguments
    }
}

/// Runs the tests and ends with their closing line.
pub(crate) fn run(root: &Path, selection: &Selection) -> Result<ExitCode> {
    let (report, green) = report(root, selection)?;
    println!("{report}");
    Ok(if green { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the tests and tells whether the result is a good one. The caller prints the closing line last.
pub(crate) fn report(root: &Path, selection: &Selection) -> Result<(Report, bool)> {
    let engines = Engines::start(root);
    let mut command = process::cargo(root);
    command.args(selection.arguments()).envs(engines.vars.iter().map(|(name, value)| (name, value)));
    let report = run_loudly(&mut command)?;
    for (reason, tests) in by_reason(&report) {
        println!("did not run: {reason}");
        for test in tests {
            println!("    {test}");
        }
    }
    for (variable, error) in &engines.missing {
        println!("{variable} could not be given: {error:#}");
    }
    let whole = engines.missing.is_empty() && report.skipped.is_empty();
    let green = is_green(report.failed, whole, process::is_ci());
    Ok((report, green))
}

/// In CI nobody reads that something was left out.
fn is_green(failed: usize, whole: bool, ci: bool) -> bool {
    failed == 0 && (whole || !ci)
}

fn by_reason(report: &Report) -> BTreeMap<&str, Vec<&str>> {
    let mut tests = BTreeMap::<&str, Vec<&str>>::new();
    for (test, reason) in &report.skipped {
        tests.entry(reason).or_default().push(test);
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_a_name_and_options_of_the_harness_reach_cargo() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let all = Selection::default().arguments();
        assert_eq!(all, words(&["test", "--no-fail-fast", "--workspace", "--", "--show-output"]));
        let some = Selection {
            packages: words(&["database"]),
            args: words(&["--test", "it", "fence", "--", "--nocapture"]),
        };
        assert_eq!(
            some.arguments().split_off(2),
            words(&["--package=database", "--test", "it", "fence", "--", "--show-output", "--nocapture"])
        );
    }

    #[test]
    fn what_was_left_out_is_a_failure_in_ci_alone_and_a_failed_test_everywhere() {
        let (whole, gap) = (true, false);
        let (ci, here) = (true, false);
        assert!(is_green(0, whole, ci) && is_green(0, whole, here));
        assert!(is_green(0, gap, here));
        assert!(!is_green(0, gap, ci));
        assert!(!is_green(1, whole, here) && !is_green(1, whole, ci));
    }
}
