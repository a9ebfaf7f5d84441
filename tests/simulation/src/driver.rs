//! Many seeds, each in a process of its own, since a seed takes over the randomness and the clock of its
//! process.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::num::NonZero;
use std::process::{Output, Stdio};
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};
use tokio::process::Command;

use crate::report::{Report, told_counts};
use crate::vacuity::untested_together;

/// After which a seed hangs: many times what the slowest takes, unoptimised and beside other work.
const LIMIT: Duration = Duration::from_secs(300);

/// How many seeds are told of at a time.
const BETWEEN_SIGNS: u64 = 20;

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// Whether each is run twice, and must go the same way.
    pub twice: bool,
}

/// How a seed ended.
enum Ended {
    Reported(Report),
    /// It has no report; this is what it said instead.
    Broken(String),
}

impl Driver {
    /// Runs the seeds, as many at a time as there are processors, and tells of them in their order. Whether
    /// all was right.
    ///
    /// # Errors
    /// Processes cannot be started, or nobody listens.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<bool> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(self.run_all(out))
    }

    async fn run_all(self, out: &mut impl Write) -> anyhow::Result<bool> {
        let lanes = available_parallelism().map_or(1, NonZero::get);
        let times = if self.twice { 2 } else { 1 };
        let seeds = (self.from..self.from + self.seeds).flat_map(|seed| std::iter::repeat_n(seed, times));
        let mut ends =
            stream::iter(seeds).map(|seed| async move { (seed, run_one(seed).await) }).buffered(lanes);
        let mut summary = Summary { times, ..Summary::default() };
        while let Some((seed, ended)) = ends.next().await {
            summary.add(out, seed, ended?)?;
        }
        Ok(summary.tell(out)?)
    }
}

async fn run_one(seed: u64) -> anyhow::Result<Ended> {
    let program = std::env::current_exe().context("finding this program")?;
    let mut command = Command::new(program);
    command.args(["--seed", &seed.to_string(), "--json"]);
    end_of(&mut command, LIMIT).await.with_context(|| format!("running seed {seed}"))
}

async fn end_of(command: &mut Command, limit: Duration) -> io::Result<Ended> {
    // The clock of this process stands still, because mad-turmoil is linked into it; another process has one.
    let mut clock = Command::new("sleep");
    let mut over = clock.arg(limit.as_secs_f64().to_string()).kill_on_drop(true).spawn()?;
    let output = tokio::select! {
        output = command.stdin(Stdio::null()).kill_on_drop(true).output() => output,
        _ = over.wait() => return Ok(Ended::Broken(format!("it has not ended within {limit:?}"))),
    };
    let Output { status, stdout, stderr } = output?;
    let broken = |_| Ended::Broken(format!("{status}\n{}", String::from_utf8_lossy(&stderr).trim()));
    Ok(serde_json::from_slice(&stdout).map_or_else(broken, Ended::Reported))
}

/// What is wrong with a seed, and the options that show it again.
struct Complaint {
    words: String,
    again: String,
}

impl Complaint {
    /// What one run shows.
    fn alone(seed: u64, words: String) -> Self {
        Self { words, again: format!("--seed {seed}") }
    }
}

#[derive(Default)]
struct Summary {
    /// How often each seed is run.
    times: usize,
    runs: u64,
    failed: BTreeSet<u64>,
    histories: BTreeMap<u64, u64>,
    simulated_seconds: u64,
    attempts: usize,
    acknowledged: usize,
    faults: BTreeMap<String, u32>,
    occasions: BTreeMap<String, u32>,
    slowest: Option<(u64, u64)>,
}

impl Summary {
    fn add(&mut self, out: &mut impl Write, seed: u64, ended: Ended) -> io::Result<()> {
        self.runs += 1;
        if let Some(Complaint { words, again }) = self.complaint(seed, &ended) {
            self.failed.insert(seed);
            writeln!(out, "{words}\nagain: cargo run -p simulation --release -- {again}")?;
        }
        if let Ended::Reported(report) = ended {
            self.count(seed, report);
        }
        if self.runs.is_multiple_of(BETWEEN_SIGNS) {
            writeln!(out, "{} runs, {} seeds failed", self.runs, self.failed.len())?;
        }
        Ok(())
    }

    fn complaint(&mut self, seed: u64, ended: &Ended) -> Option<Complaint> {
        let report = match ended {
            Ended::Broken(words) => {
                return Some(Complaint::alone(seed, format!("seed {seed} broke: {words}")));
            }
            Ended::Reported(report) => report,
        };
        let before = self.histories.insert(seed, report.hash);
        if !report.violations.is_empty() {
            return Some(Complaint::alone(seed, report.told(seed)));
        }
        if before.is_some_and(|before| before != report.hash) {
            let words = format!("seed {seed} went another way the second time");
            return Some(Complaint { words, again: format!("--from {seed} --seeds 1 --twice") });
        }
        let mut others = self.histories.iter().filter(|&(&other, _)| other != seed);
        let (&twin, _) = others.find(|&(_, &hash)| hash == report.hash)?;
        let words = format!("seed {seed} went the way of seed {twin}: the seed does not decide");
        let (first, span) = (seed.min(twin), seed.abs_diff(twin) + 1);
        Some(Complaint { words, again: format!("--from {first} --seeds {span}") })
    }

    fn count(&mut self, seed: u64, report: Report) {
        self.simulated_seconds += report.simulated_seconds;
        self.attempts += report.attempts;
        self.acknowledged += report.acknowledged;
        add_up(&mut self.faults, report.faults);
        add_up(&mut self.occasions, report.occasions);
        self.slowest = self.slowest.max(Some((report.cpu_milliseconds, seed)));
    }

    /// Whether all was right.
    fn tell(&self, out: &mut impl Write) -> io::Result<bool> {
        let Self { runs, simulated_seconds, attempts, acknowledged, .. } = self;
        writeln!(out, "{runs} runs, {simulated_seconds} simulated seconds")?;
        writeln!(out, "{attempts} requests, {acknowledged} of them acknowledged")?;
        writeln!(out, "faults: {}", told_counts(&self.faults))?;
        writeln!(out, "calls: {}", told_counts(&self.occasions))?;
        if let Some((milliseconds, seed)) = self.slowest {
            writeln!(out, "slowest: seed {seed} with {milliseconds} ms of processor")?;
        }
        if !self.failed.is_empty() {
            writeln!(out, "FAILED: seeds {:?}", self.failed)?;
            return Ok(false);
        }
        if let Some(vacuous) = untested_together(self.histories.len(), self.times, &self.occasions) {
            writeln!(out, "FAILED: {vacuous}")?;
            return Ok(false);
        }
        let again = if self.times > 1 { ", and every seed went the same way twice" } else { "" };
        writeln!(out, "no violation{again}")?;
        Ok(true)
    }
}

fn add_up(sums: &mut BTreeMap<String, u32>, counts: BTreeMap<String, u32>) {
    for (kind, count) in counts {
        *sums.entry(kind).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vacuity::{LEAST_TOGETHER, SOME};

    fn went(hash: u64, violations: &[&str]) -> Ended {
        Ended::Reported(Report {
            violations: violations.iter().map(|&violation| violation.to_owned()).collect(),
            hash,
            simulated_seconds: 61,
            cpu_milliseconds: hash,
            attempts: 3,
            acknowledged: 2,
            faults: BTreeMap::from([("kill".to_owned(), 1)]),
            occasions: BTreeMap::from([("log in".to_owned(), 2)]),
            story: vec!["it rained".to_owned()],
            lines: Vec::new(),
        })
    }

    /// What is told of the seeds, one after the other.
    fn told(ends: impl IntoIterator<Item = (u64, Ended)>) -> String {
        let (summary, mut out) = (&mut Summary { times: 2, ..Summary::default() }, Vec::new());
        for (seed, ended) in ends {
            summary.add(&mut out, seed, ended).unwrap();
        }
        let is_right = summary.tell(&mut out).unwrap();
        let told = String::from_utf8(out).unwrap();
        assert_eq!(is_right, !told.contains("FAILED"), "{told}");
        told
    }

    #[test]
    fn what_went_well_is_added_up() {
        assert_eq!(
            told([(1, went(7, &[])), (1, went(7, &[])), (2, went(8, &[]))]),
            "3 runs, 183 simulated seconds\n9 requests, 6 of them acknowledged\nfaults: 3 x kill\n\
             calls: 6 x log in\n\
             slowest: seed 2 with 8 ms of processor\nno violation, and every seed went the same way twice\n"
        );
    }

    #[test]
    fn seeds_that_never_come_to_what_only_some_come_to_fail_together() {
        let seeds = |count: u64, kinds: &[(&str, u32)]| {
            let ended = |seed| {
                let occasions = kinds.iter().map(|(kind, times)| ((*kind).to_owned(), *times)).collect();
                let Ended::Reported(report) = went(seed, &[]) else { unreachable!("it went well") };
                (seed, Ended::Reported(Report { occasions, ..report }))
            };
            told((1..=count).flat_map(|seed| [ended(seed), ended(seed)]))
        };
        let few = SOME as u64 - 1;
        let enough = LEAST_TOGETHER.map(|(kind, least)| (kind, least.div_ceil(SOME as u32)));
        assert!(seeds(few, &[]).ends_with("no violation, and every seed went the same way twice\n"));
        for (kind, _) in LEAST_TOGETHER {
            let others = enough.map(|(other, times)| (other, if other == kind { 0 } else { times }));
            let told = seeds(few + 1, &others);
            assert!(told.ends_with(&format!("FAILED: vacuous: 0 x {kind}\n")), "{told}");
        }
        assert!(seeds(few + 1, &enough).ends_with("no violation, and every seed went the same way twice\n"));
    }

    #[test]
    fn a_seed_that_fails_is_told_with_the_command_that_shows_it_again() {
        let again = |ends: Vec<(u64, Ended)>| {
            let told = told(ends);
            assert!(told.ends_with("FAILED: seeds {5}\n"), "{told}");
            let (words, again) = told.split_once("again: ").unwrap();
            (words.to_owned(), again.lines().next().unwrap().to_owned())
        };
        let (words, command) = again(vec![(5, went(7, &["an account is lost"]))]);
        assert!(words.ends_with("\n  it rained\nVIOLATION an account is lost\n"), "{words}");
        assert_eq!(command, "cargo run -p simulation --release -- --seed 5");
        let (words, command) = again(vec![(5, Ended::Broken("signal: 6".to_owned()))]);
        assert_eq!(words, "seed 5 broke: signal: 6\n");
        assert_eq!(command, "cargo run -p simulation --release -- --seed 5");
        let (words, command) = again(vec![(5, went(7, &[])), (5, went(8, &[]))]);
        assert_eq!(words, "seed 5 went another way the second time\n");
        assert_eq!(command, "cargo run -p simulation --release -- --from 5 --seeds 1 --twice");
        let (words, command) = again(vec![(3, went(7, &[])), (5, went(7, &[]))]);
        assert_eq!(words, "seed 5 went the way of seed 3: the seed does not decide\n");
        assert_eq!(command, "cargo run -p simulation --release -- --from 3 --seeds 3");
    }

    #[tokio::test]
    async fn a_seed_that_hangs_is_ended_and_told() {
        /// Whatever it is, the process outlasts it.
        const LIMIT: Duration = Duration::from_millis(1);
        let ended = end_of(Command::new("sleep").arg("600"), LIMIT).await.unwrap();
        let Ended::Broken(words) = ended else { panic!("it has no report") };
        assert_eq!(words, "it has not ended within 1ms");
    }
}
