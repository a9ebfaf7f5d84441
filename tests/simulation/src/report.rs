//! What is told of a seed that was run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::history::History;

/// Whoever reads needs the first few; the rest is mostly their consequence.
const MOST_VIOLATIONS: usize = 10;

/// About a screen.
const LONGEST_STORY: usize = 40;

/// What came of a seed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// What the service did wrong, and what the run failed to try.
    pub violations: Vec<String>,
    /// The history's number, the same for the same seed.
    pub hash: u64,
    /// How long it was for those inside.
    pub simulated_seconds: u64,
    /// What it cost outside, where the system tells; the clocks of this process are simulated.
    pub cpu_milliseconds: u64,
    /// How many requests ended.
    pub attempts: usize,
    /// How many were acknowledged.
    pub acknowledged: usize,
    /// How often each kind of fault took effect.
    pub faults: BTreeMap<String, u32>,
    /// The end of the story of what went wrong.
    pub story: Vec<String>,
}

impl Report {
    /// From what happened, what of it was `wrong`, and how often each kind of fault took effect.
    pub fn of(
        history: &History,
        wrong: Vec<String>,
        simulated: Duration,
        faults: &BTreeMap<&'static str, u32>,
    ) -> Self {
        let mut violations = wrong;
        violations.truncate(MOST_VIOLATIONS);
        violations.extend(vacuous(simulated, history.acknowledged(), faults));
        Self {
            story: history.about(&violations, LONGEST_STORY),
            violations,
            hash: history.hash(),
            simulated_seconds: simulated.as_secs(),
            cpu_milliseconds: cpu_milliseconds(),
            attempts: history.attempts().len(),
            acknowledged: history.acknowledged(),
            faults: faults.iter().map(|(&kind, &count)| (kind.to_owned(), count)).collect(),
        }
    }
}

impl Report {
    /// How the seed went; where it failed, with the end of its story.
    pub fn told(&self, seed: u64) -> String {
        let Self { hash, simulated_seconds, attempts, acknowledged, .. } = self;
        let mut told = format!(
            "seed {seed}: history {hash:016x}, {simulated_seconds} simulated seconds, {attempts} requests, \
             {acknowledged} acknowledged; {}",
            told_faults(&self.faults)
        );
        if !self.violations.is_empty() {
            self.story.iter().for_each(|line| told.push_str(&format!("\n  {line}")));
        }
        self.violations.iter().for_each(|violation| told.push_str(&format!("\nVIOLATION {violation}")));
        told
    }
}

pub(crate) fn told_faults(faults: &BTreeMap<String, u32>) -> String {
    let told: Vec<_> = faults.iter().map(|(kind, count)| format!("{count} x {kind}")).collect();
    format!("faults: {}", told.join(", "))
}

/// Why a run proves nothing, if it does not.
fn vacuous(simulated: Duration, acknowledged: usize, faults: &BTreeMap<&'static str, u32>) -> Option<String> {
    const LEAST_TIME: Duration = Duration::from_secs(60);
    const LEAST_ACKNOWLEDGED: usize = 200;
    const LEAST_FAULTS: u32 = 5;
    const LEAST_KINDS: usize = 3;
    let count = faults.values().sum::<u32>();
    let enough = simulated >= LEAST_TIME
        && acknowledged >= LEAST_ACKNOWLEDGED
        && count >= LEAST_FAULTS
        && faults.len() >= LEAST_KINDS;
    (!enough).then(|| {
        let kinds = faults.len();
        format!("vacuous: {simulated:?}, {acknowledged} acknowledged, {count} faults of {kinds} kinds")
    })
}

/// From Linux's scheduler: the first number is the time on a processor, in nanoseconds.
fn cpu_milliseconds() -> u64 {
    let told = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = told.split(' ').next().and_then(|first| first.parse::<u64>().ok());
    nanoseconds.unwrap_or_default() / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Attempt, Operation, Outcome};

    fn report(acknowledged: usize, seconds: u64, faults: &[(&'static str, u32)]) -> Report {
        let mut history = History::default();
        for _ in 0..acknowledged {
            let operation = Operation::Delete { id: "1".to_owned() };
            let outcome = Outcome::Done(None);
            history.attempt(Attempt { client: "a".to_owned(), operation, started: 0, ended: 1, outcome });
        }
        Report::of(&history, Vec::new(), Duration::from_secs(seconds), &faults.iter().copied().collect())
    }

    #[test]
    fn a_run_that_tried_too_little_fails() {
        let enough = [("kill", 2), ("hold", 2), ("latency", 1)];
        assert_eq!(report(200, 60, &enough).violations, Vec::<String>::new());
        let too_little = [
            report(199, 60, &enough),
            report(200, 59, &enough),
            report(200, 60, &[("kill", 4), ("hold", 4)]),
            report(200, 60, &[("kill", 2), ("hold", 1), ("latency", 1)]),
        ];
        for report in too_little {
            assert!(matches!(&report.violations[..], [only] if only.starts_with("vacuous: ")), "{report:?}");
        }
    }
}
