//! Many seeds, each in a process of its own, since a seed takes over the randomness and the clock of its
//! process.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::num::NonZero;
use std::process::{Child, Command, Stdio};
use std::thread::available_parallelism;

use anyhow::Context as _;

use crate::report::Report;

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

/// A seed under way.
struct Running {
    seed: u64,
    process: Child,
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
        let lanes = available_parallelism().map_or(1, NonZero::get);
        let times = if self.twice { 2 } else { 1 };
        let mut waiting =
            (self.from..self.from + self.seeds).flat_map(|seed| std::iter::repeat_n(seed, times));
        let mut running = VecDeque::new();
        let mut summary = Summary::default();
        loop {
            while running.len() < lanes
                && let Some(seed) = waiting.next()
            {
                running.push_back(start(seed)?);
            }
            let Some(Running { seed, process }) = running.pop_front() else { break };
            summary.add(out, seed, await_end(process)?)?;
        }
        summary.tell(out, self.twice)?;
        Ok(summary.failed.is_empty())
    }
}

fn start(seed: u64) -> anyhow::Result<Running> {
    let program = std::env::current_exe().context("finding this program")?;
    let process = Command::new(program)
        .args(["--seed", &seed.to_string(), "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting seed {seed}"))?;
    Ok(Running { seed, process })
}

fn await_end(process: Child) -> anyhow::Result<Ended> {
    let output = process.wait_with_output().context("waiting for a seed")?;
    let report = serde_json::from_slice(&output.stdout);
    Ok(report.map_or_else(
        |_| Ended::Broken(format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim())),
        Ended::Reported,
    ))
}

#[derive(Default)]
struct Summary {
    runs: u64,
    failed: Vec<u64>,
    hashes: BTreeMap<u64, u64>,
    simulated_seconds: u64,
    attempts: usize,
    acknowledged: usize,
    faults: BTreeMap<String, u32>,
    slowest: Option<(u64, u64)>,
}

impl Summary {
    fn add(&mut self, out: &mut impl Write, seed: u64, ended: Ended) -> io::Result<()> {
        self.runs += 1;
        let is_right = match ended {
            Ended::Reported(report) => {
                let went_otherwise =
                    self.hashes.insert(seed, report.hash).is_some_and(|hash| hash != report.hash);
                if !report.violations.is_empty() {
                    tell(out, seed, &report)?;
                } else if went_otherwise {
                    writeln!(out, "seed {seed} went another way the second time")?;
                }
                let is_right = report.violations.is_empty() && !went_otherwise;
                self.count(seed, report);
                is_right
            }
            Ended::Broken(words) => {
                writeln!(out, "seed {seed} broke: {words}")?;
                writeln!(out, "again: {}", replay(seed))?;
                false
            }
        };
        if !is_right {
            self.failed.push(seed);
        }
        if self.runs.is_multiple_of(BETWEEN_SIGNS) {
            writeln!(out, "{} runs, {} failed", self.runs, self.failed.len())?;
        }
        Ok(())
    }

    fn count(&mut self, seed: u64, report: Report) {
        self.simulated_seconds += report.simulated_seconds;
        self.attempts += report.attempts;
        self.acknowledged += report.acknowledged;
        for (kind, count) in report.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        self.slowest = self.slowest.max(Some((report.cpu_milliseconds, seed)));
    }

    fn tell(&self, out: &mut impl Write, twice: bool) -> io::Result<()> {
        let Self { runs, simulated_seconds, attempts, acknowledged, .. } = self;
        writeln!(out, "{runs} runs, {simulated_seconds} simulated seconds")?;
        writeln!(out, "{attempts} requests, {acknowledged} of them acknowledged")?;
        writeln!(out, "{}", told_faults(&self.faults))?;
        if let Some((milliseconds, seed)) = self.slowest {
            writeln!(out, "slowest: seed {seed} with {milliseconds} ms of processor")?;
        }
        match &self.failed[..] {
            [] if twice => writeln!(out, "no violation, and every seed went the same way twice"),
            [] => writeln!(out, "no violation"),
            failed => writeln!(out, "FAILED: seeds {failed:?}"),
        }
    }
}

/// Tells how a seed went: the end of its story where it failed, and the command that runs it again.
///
/// # Errors
/// Nobody listens.
pub fn tell(out: &mut impl Write, seed: u64, report: &Report) -> io::Result<()> {
    let Report { hash, simulated_seconds, attempts, acknowledged, .. } = report;
    writeln!(
        out,
        "seed {seed}: history {hash:016x}, {simulated_seconds} simulated seconds, {attempts} requests, \
         {acknowledged} acknowledged; {}",
        told_faults(&report.faults)
    )?;
    if report.violations.is_empty() {
        return Ok(());
    }
    for line in &report.story {
        writeln!(out, "  {line}")?;
    }
    for violation in &report.violations {
        writeln!(out, "VIOLATION {violation}")?;
    }
    writeln!(out, "again: {}", replay(seed))
}

fn told_faults(faults: &BTreeMap<String, u32>) -> String {
    let told: Vec<_> = faults.iter().map(|(kind, count)| format!("{count} x {kind}")).collect();
    format!("faults: {}", told.join(", "))
}

fn replay(seed: u64) -> String {
    format!("cargo run -p simulation --release -- --seed {seed}")
}
