//! What is left of the platform when more is asked of it than it can do: how much it still answers, how long that takes,
//! how quickly it refuses the rest, and what memory it takes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use runtime::Env;
use tokio::time::{Instant, sleep_until};

use crate::figures::{Limit, Limits, say};
use crate::open_loop::{Asked, Client, End, Load, Part, capacity};
use crate::process::own_cpu;
use crate::town::Town;
use crate::visitor::{log_in, read_account};

#[derive(Args)]
pub(crate) struct Settings {
    /// One kind of request instead of both.
    kind: Option<Kind>,
    /// Where the processes write what they say of themselves; nowhere by default.
    #[arg(long)]
    logs: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A right password, which takes a processor some 20 ms.
    Login,
    /// The account that a token is for.
    Read,
}

/// Nobody's password is wrong, and many come from one address.
const NO_LIMIT: &str = "100000";
/// Different ones, as each account's logins are admitted one after the other where few may fail.
const ACCOUNTS: usize = 20;
const SEED: u64 = 6;
/// Enough that no processor waits.
const CALLERS: usize = 16;
const CLOSED: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_secs(10);
/// A queue that is too long has filled by then.
const WARM: Duration = Duration::from_secs(3);
/// What 10 times as much costs the driver of a cheap request is more than the two processors have.
const TIMES_LOGIN: &[f64] = &[0.5, 1.0, 2.0, 5.0, 10.0];
const TIMES_READ: &[f64] = &[0.5, 1.0, 2.0];

const OF_PEAK: Limit = Limit::AtLeast(0.9);
/// Of what it is at capacity, where whoever comes by chance at the same time as others waits, too.
const P99_TIMES: Limit = Limit::AtMost(2.0);
const REFUSED_MS: Limit = Limit::AtMost(10.0);
const FAILED_OTHERWISE: Limit = Limit::AtMost(0.0);
/// Of what each process takes at capacity: what is too much is refused and not kept, also when it is ten times too much.
const MEMORY_TIMES: Limit = Limit::AtMost(2.0);

pub(crate) async fn run(settings: Settings) -> Result<()> {
    let env = Env::system(1);
    let mut limits = Limits::default();
    let kinds = settings.kind.map_or(Kind::value_variants().to_vec(), |kind| vec![kind]);
    if let Some(logs) = &settings.logs {
        std::fs::create_dir_all(logs)?;
    }
    let more = [("FAILED_LOGINS_PER_ACCOUNT", NO_LIMIT), ("FAILED_LOGINS_PER_ADDRESS", NO_LIMIT)];
    let town = Town::start(&env, settings.logs.as_deref(), false, &more).await?;
    let mut visitor = town.visitor().await?;
    visitor.register().await?;
    let bearer = format!("Bearer {}", visitor.log_in().await?);
    for kind in kinds {
        let requests = match kind {
            Kind::Read => vec![read_account(&bearer)?],
            Kind::Login => {
                let emails: Vec<String> = (0..ACCOUNTS).map(|nth| format!("ada{nth}@example.com")).collect();
                for email in &emails {
                    visitor.register_as(email).await?;
                }
                emails.iter().map(|email| log_in(email)).collect::<Result<_>>()?
            }
        };
        kind.try_out(&town, requests, &mut limits).await?;
    }
    limits.kept()
}

/// What it was like at so many times the capacity.
struct Step {
    times: f64,
    /// Requests that began per second.
    offered: f64,
    goodput: f64,
    p99: f64,
    refused_p99: Option<f64>,
    /// Of those that ended neither with an answer nor with a refusal.
    failed: usize,
    memory: Vec<f64>,
}

impl Kind {
    fn times(self) -> &'static [f64] {
        match self {
            Self::Login => TIMES_LOGIN,
            Self::Read => TIMES_READ,
        }
    }

    async fn try_out(self, town: &Town, requests: Vec<Asked>, limits: &mut Limits) -> Result<()> {
        let client = Arc::new(Client::new(&town.env, town.public));
        // What is measured has been warm for as long.
        capacity(&client, &requests, CALLERS, CLOSED / 2).await?;
        let capacity = capacity(&client, &requests, CALLERS, CLOSED).await?;
        say(&format!("{self:?}: capacity {capacity:.0}/s, {CALLERS} callers one request after the other"))?;
        let mut load = Load { requests, per_second: 0.0, span: STEP, retries: 0, seed: SEED };
        let mut steps = Vec::new();
        for &times in self.times() {
            load.per_second = capacity * times;
            steps.push(self.step(town, &client, &load, times).await?);
        }
        self.judge(town, &steps, limits)
    }

    async fn step(self, town: &Town, client: &Arc<Client>, load: &Load, times: f64) -> Result<Step> {
        let began = Instant::now();
        let cpu = own_cpu()?;
        let watched = async {
            sleep_until(began + STEP).await;
            Ok::<_, anyhow::Error>((own_cpu()? - cpu, memory(town)?, town.waiting().await?))
        };
        let (timeline, watched) = tokio::join!(load.drive(client, began), watched);
        let (timeline, (cpu, memory, waiting)) = (timeline?, watched?);
        let part: Part<'_> = timeline.part(WARM, STEP);
        let refused = part.count(|end| end == End::Refused);
        let step = Step {
            times,
            offered: part.begun() as f64 / (STEP - WARM).as_secs_f64(),
            goodput: part.goodput(),
            p99: part.p99(End::Answered),
            refused_p99: (refused > 0).then(|| part.p99(End::Refused)),
            failed: part.count(|end| end != End::Answered && end != End::Refused),
            memory,
        };
        let (begun, median) = (part.begun(), part.median(End::Answered));
        let driver = cpu.as_secs_f64() / STEP.as_secs_f64();
        say(&format!(
            "{self:?} {times}x: {begun} begun, {:.0} answers/s, median {median:.1} ms, p99 {:.1} ms; not answered: {}; \
             passwords that wait at the end: {waiting}; processors that the load itself takes: {driver:.2}",
            step.goodput,
            step.p99,
            part.failures()
        ))?;
        Ok(step)
    }

    fn judge(self, town: &Town, steps: &[Step], limits: &mut Limits) -> Result<()> {
        let peak = steps.iter().map(|step| step.goodput).fold(0.0, f64::max);
        let (Some(half), Some(full)) = (steps.first(), steps.iter().find(|step| step.times == 1.0)) else {
            return Ok(());
        };
        for step in steps.iter().filter(|step| step.times >= 1.0) {
            let name = format!("{self:?} {}x", step.times);
            // More than was asked cannot be answered.
            let share = step.goodput / peak.min(step.offered);
            limits.say(&format!("{name}: goodput as a share of the peak: {share:.2}"), share, OF_PEAK)?;
            let longer = step.p99 / full.p99;
            let told = format!(
                "{name}: p99 of the admitted, {:.1} times that at 0.5x, times that at capacity: {longer:.2}",
                step.p99 / half.p99
            );
            limits.say(&told, longer, P99_TIMES)?;
            if let Some(refused) = step.refused_p99 {
                limits.say(&format!("{name}: p99 of refusals in ms: {refused:.1}"), refused, REFUSED_MS)?;
            }
            let told =
                format!("{name}: neither answered nor refused with a time to come again: {}", step.failed);
            limits.say(&told, step.failed as f64, FAILED_OTHERWISE)?;
        }
        let Some(last) = steps.last() else { return Ok(()) };
        for ((instance, before), after) in town.instances().zip(&full.memory).zip(&last.memory) {
            let told = format!(
                "{self:?}: {} resident at 1x {before:.0} MB, at {}x {after:.0} MB, times",
                instance.name, last.times
            );
            limits.say(&format!("{told} {:.2}", after / before), after / before, MEMORY_TIMES)?;
        }
        Ok(())
    }
}

/// What each process has in RAM, in MB.
fn memory(town: &Town) -> Result<Vec<f64>> {
    town.instances().map(|instance| instance.process()?.resident_mb()).collect()
}
