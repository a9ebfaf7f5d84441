//! What is told of a seed that was run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checker;
use crate::history::History;
use crate::vacuity::Tried;

/// Whoever reads needs the first few; the rest is mostly their consequence.
const MOST_VIOLATIONS: usize = 10;

/// About a screen.
pub(crate) const LONGEST_STORY: usize = 40;

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
    /// How often each kind of call was acknowledged, and each rule put to the test.
    pub occasions: BTreeMap<String, u32>,
    /// The end of the story of what went wrong.
    pub story: Vec<String>,
    /// All that happened.
    #[serde(skip)]
    pub lines: Vec<String>,
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
        let occasions = checker::occasions(history);
        let acknowledged = history.acknowledged();
        let tried = Tried { simulated, acknowledged, faults, occasions: &occasions };
        violations.extend(tried.complaints());
        Self {
            story: history.about(&violations, LONGEST_STORY),
            violations,
            hash: history.hash(),
            simulated_seconds: simulated.as_secs(),
            cpu_milliseconds: cpu_milliseconds(),
            attempts: history.asked(),
            acknowledged,
            faults: owned(faults),
            occasions: owned(&occasions),
            lines: history.lines().to_vec(),
        }
    }

    /// How the seed went; where it failed, with the end of its story.
    pub fn told(&self, seed: u64) -> String {
        let Self { hash, simulated_seconds, attempts, acknowledged, .. } = self;
        let mut told = format!(
            "seed {seed}: history {hash:016x}, {simulated_seconds} simulated seconds, {attempts} requests, \
             {acknowledged} acknowledged\n  faults: {}\n  calls: {}",
            told_counts(&self.faults),
            told_counts(&self.occasions)
        );
        if !self.violations.is_empty() {
            self.story.iter().for_each(|line| told.push_str(&format!("\n  {line}")));
        }
        self.violations.iter().for_each(|violation| told.push_str(&format!("\nVIOLATION {violation}")));
        told
    }
}

pub(crate) fn told_counts(counts: &BTreeMap<String, u32>) -> String {
    let told: Vec<_> = counts.iter().map(|(kind, count)| format!("{count} x {kind}")).collect();
    told.join(", ")
}

fn owned(counts: &BTreeMap<&'static str, u32>) -> BTreeMap<String, u32> {
    counts.iter().map(|(&kind, &count)| (kind.to_owned(), count)).collect()
}

/// From Linux's scheduler: the first number is the time on a processor, in nanoseconds.
fn cpu_milliseconds() -> u64 {
    let told = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = told.split(' ').next().and_then(|first| first.parse::<u64>().ok());
    nanoseconds.unwrap_or_default() / 1_000_000
}
