//! Many seeds, each in a process of its own, since a seed takes over the randomness and the clock of its
//! process.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Write};
use std::num::NonZero;
use std::process::{Child, Command, Stdio};
use std::thread::available_parallelism;

use anyhow::Context as _;

use crate::report::{Report, told_faults};

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
    failed: BTreeSet<u64>,
    histories: BTreeMap<u64, u64>,
    simulated_seconds: u64,
    attempts: usize,
    acknowledged: usize,
    faults: BTreeMap<String, u32>,
    slowest: Option<(u64, u64)>,
}

impl Summary {
    fn add(&mut self, out: &mut impl Write, seed: u64, ended: Ended) -> io::Result<()> {
        self.runs += 1;
        if let Some(complaint) = self.complaint(seed, &ended) {
            self.failed.insert(seed);
            writeln!(out, "{complaint}\nagain: cargo run -p simulation --release -- --seed {seed}")?;
        }
        if let Ended::Reported(report) = ended {
            self.count(seed, report);
        }
        if self.runs.is_multiple_of(BETWEEN_SIGNS) {
            writeln!(out, "{} runs, {} seeds failed", self.runs, self.failed.len())?;
        }
        Ok(())
    }

    fn complaint(&mut self, seed: u64, ended: &Ended) -> Option<String> {
        let report = match ended {
            Ended::Broken(words) => return Some(format!("seed {seed} broke: {words}")),
            Ended::Reported(report) if !report.violations.is_empty() => return Some(report.told(seed)),
            Ended::Reported(report) => report,
        };
        if self.histories.insert(seed, report.hash).is_some_and(|before| before != report.hash) {
            return Some(format!("seed {seed} went another way the second time"));
        }
        let mut others = self.histories.iter().filter(|&(&other, _)| other != seed);
        let (twin, _) = others.find(|&(_, &hash)| hash == report.hash)?;
        Some(format!("seed {seed} went the way of seed {twin}: the seed does not decide"))
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
        if !self.failed.is_empty() {
            return writeln!(out, "FAILED: seeds {:?}", self.failed);
        }
        let again = if twice { ", and every seed went the same way twice" } else { "" };
        writeln!(out, "no violation{again}")
    }
}
