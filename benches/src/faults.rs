//! What callers see of it when an instance of a service dies, stops or becomes slow, and when both do.
//!
//! Requests that change nothing begin all the time, as many per second as before; the fault comes a while after the first.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use runtime::Env;
use tokio::time::{Instant, sleep_until};

use crate::figures::{Limit, Limits, say};
use crate::open_loop::{Client, End, Load, Timeline};
use crate::slow_proxy::Pace;
use crate::town::{Instance, Town};
use crate::visitor::read_account;

#[derive(Args)]
pub(crate) struct Settings {
    /// One case instead of all of them.
    case: Option<Case>,
    /// Where the processes write what they say of themselves; nowhere by default.
    #[arg(long)]
    logs: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Case {
    /// One of two instances ends as by `kill -9` and stays away.
    Killed,
    /// One of two does nothing more, and goes on 20 seconds later.
    Paused,
    /// The answers of one of two come in drops.
    Dripping,
    /// The answers of one of two come half a second later.
    Lagging,
    /// Both end, and come back 10 seconds later.
    Gone,
    /// The answers of both come two seconds later for half a minute; those who are refused come again.
    Slow,
}

const PER_SECOND: f64 = 300.0;
const SEED: u64 = 5;
/// What comes first is not what it is like afterwards: connections are made.
const WARM: Duration = Duration::from_secs(1);
const FAULT: Duration = Duration::from_secs(5);
/// Until then callers may notice it.
const DETECTED: Duration = Duration::from_secs(2);
/// Until then answers take what they took.
const QUICK_AGAIN: Duration = Duration::from_secs(5);
/// Until then all are answered again, once it is over.
const RECOVERED: Duration = Duration::from_secs(10);

const DRIP: Pace = Pace::Drip(200);
const LAG: Pace = Pace::Later(Duration::from_millis(500));
const SLOW: Pace = Pace::Later(Duration::from_secs(2));
/// As programs that were written with care do it.
const RETRIES: u32 = 3;

const FAILED: Limit = Limit::AtMost(0.0);
const P99_TIMES: Limit = Limit::AtMost(2.0);
const AMPLIFIED_PARTLY: Limit = Limit::AtMost(1.1);
const AMPLIFIED_WHOLLY: Limit = Limit::AtMost(1.3);
const KEPT_UP: Limit = Limit::AtLeast(0.95);

pub(crate) async fn run(settings: Settings) -> Result<()> {
    let env = Env::system(1);
    let mut limits = Limits::default();
    let cases = settings.case.map_or(Case::value_variants().to_vec(), |case| vec![case]);
    for case in cases {
        let logs = settings.logs.as_ref().map(|logs| logs.join(case.name()));
        if let Some(logs) = &logs {
            std::fs::create_dir_all(logs)?;
        }
        let town = Town::start(&env, logs.as_deref(), case.is_slow(), &[]).await?;
        try_out(case, town, &mut limits).await?;
    }
    limits.kept()
}

impl Case {
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    fn is_slow(self) -> bool {
        matches!(self, Self::Dripping | Self::Lagging | Self::Slow)
    }

    /// Whether no instance is left that is well.
    fn is_whole(self) -> bool {
        matches!(self, Self::Gone | Self::Slow)
    }

    /// When it is over, if that comes.
    fn healed(self) -> Option<Duration> {
        match self {
            Self::Killed | Self::Dripping | Self::Lagging => None,
            // Longer than clients wait: nothing is answered only because it is over.
            Self::Paused => Some(FAULT + Duration::from_secs(20)),
            Self::Gone => Some(FAULT + Duration::from_secs(10)),
            Self::Slow => Some(FAULT + Duration::from_secs(30)),
        }
    }

    fn span(self) -> Duration {
        self.healed().unwrap_or(FAULT) + Duration::from_secs(15)
    }

    fn retries(self) -> u32 {
        if self == Self::Slow { RETRIES } else { 0 }
    }

    async fn harm(self, town: &mut Town) -> Result<()> {
        let env = town.env.clone();
        let pace = |pace| {
            move |instance: &Instance| {
                instance.pace.send_replace(pace);
            }
        };
        match self {
            Self::Killed => town.users[0].kill(&env).await?,
            Self::Paused => town.users[0].process()?.signal("STOP").await?,
            Self::Dripping => pace(DRIP)(&town.users[0]),
            Self::Lagging => pace(LAG)(&town.users[0]),
            Self::Slow => town.users.iter().for_each(pace(SLOW)),
            Self::Gone => {
                for instance in &mut town.users {
                    instance.kill(&env).await?;
                }
            }
        }
        Ok(())
    }

    async fn heal(self, town: &mut Town) -> Result<()> {
        let env = town.env.clone();
        match self {
            Self::Paused => town.users[0].process()?.signal("CONT").await?,
            Self::Gone => {
                for instance in &mut town.users {
                    instance.start(&env).await?;
                }
            }
            _ => {
                for instance in &town.users {
                    instance.pace.send_replace(Pace::Straight);
                }
            }
        }
        Ok(())
    }
}

async fn try_out(case: Case, mut town: Town, limits: &mut Limits) -> Result<()> {
    let mut visitor = town.visitor().await?;
    visitor.register().await?;
    let bearer = format!("Bearer {}", visitor.log_in().await?);
    let load = Load {
        requests: vec![read_account(&bearer)?],
        per_second: PER_SECOND,
        span: case.span(),
        retries: case.retries(),
        seed: SEED,
    };
    let client = Arc::new(Client::new(&town.env, town.public));
    let (before, began) = (town.arrived().await?, Instant::now());
    let script = async {
        sleep_until(began + FAULT).await;
        case.harm(&mut town).await?;
        if let Some(healed) = case.healed() {
            sleep_until(began + healed).await;
            case.heal(&mut town).await?;
        }
        Ok::<_, anyhow::Error>(began.elapsed())
    };
    let (timeline, scripted) = tokio::join!(load.drive(&client, began), script);
    let (timeline, over) = (timeline?, scripted?);
    let arrived = town.arrived().await? - before;
    let amplified = arrived as f64 / f64::from(timeline.attempts());
    judge(case, &timeline, over, amplified, limits)
}

/// Says what it was like beside what it may be. The fault, or the return from it, was complete at `over`.
fn judge(case: Case, timeline: &Timeline, over: Duration, amplified: f64, limits: &mut Limits) -> Result<()> {
    let (name, end) = (case.name(), case.span());
    tell(case, timeline)?;
    let is_failure = |end| end != End::Answered;
    if !case.is_whole() {
        let detected = timeline.part(FAULT + DETECTED, end);
        let failed = detected.count(is_failure);
        let told = format!("{name}: failed after {DETECTED:?}, of {}: {failed}", detected.begun());
        limits.say(&told, failed as f64, FAILED)?;
    }
    let since = if case.is_whole() { over } else { FAULT };
    let (before, after) = (timeline.usual_p99(WARM, FAULT), timeline.usual_p99(since + QUICK_AGAIN, end));
    let told = format!("{name}: p99 before {before:.1} ms, {QUICK_AGAIN:?} later {after:.1} ms, times");
    limits.say(&format!("{told} {:.2}", after / before), after / before, P99_TIMES)?;
    let most = if case.is_whole() { AMPLIFIED_WHOLLY } else { AMPLIFIED_PARTLY };
    let told = format!(
        "{name}: arrived at user-service per request sent, of {}: {amplified:.3}",
        timeline.attempts()
    );
    limits.say(&told, amplified, most)?;
    let later = timeline.part(since + RECOVERED, end);
    let told =
        format!("{name}: answered {RECOVERED:?} later, as a share of what began: {:.3}", later.kept_up());
    Ok(limits.say(&told, later.kept_up(), KEPT_UP)?)
}

/// Says how it went, second by second.
fn tell(case: Case, timeline: &Timeline) -> Result<()> {
    let (name, end) = (case.name(), case.span());
    let answers = timeline.seconds(Duration::ZERO, end).map(|second| second.answers().to_string());
    say(&format!("{name}: answers in each second: {}", answers.collect::<Vec<_>>().join(" ")))?;
    let times =
        timeline.seconds(Duration::ZERO, end).map(|second| format!("{:.0}", second.p99(End::Answered)));
    let told = times.collect::<Vec<_>>().join(" ");
    say(&format!("{name}: p99 in ms of those that began in each second: {told}"))?;
    let fault = timeline.part(FAULT, case.healed().unwrap_or(end));
    let (begun, failed, refused) = (fault.begun(), fault.failures(), fault.p99(End::Refused));
    let told =
        format!("{name}: of {begun} while it lasted failed: {failed}; p99 of refusals {refused:.1} ms");
    Ok(say(&told)?)
}
