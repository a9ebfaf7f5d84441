//! What a service says of itself: whether it is alive, and whether it should be sent work.
//!
//! Alive is a process that answers at all. Ready is one that has started, is not draining and whose checks
//! pass. Checks report in the background; whoever asks gets the last report and waits for nothing.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The health of one service. Clones are the same.
#[derive(Clone, Debug)]
pub struct Health(Arc<watch::Sender<Report>>);

/// What a service says of itself, as it stands in `/health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// All in one word.
    pub status: Status,
    /// What each check last found.
    pub checks: BTreeMap<&'static str, Finding>,
    #[serde(skip)]
    phase: Phase,
}

/// A service's state in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not listening yet.
    Starting,
    /// Ready.
    Ok,
    /// Listening, and something it needs is not as it should be.
    Degraded,
    /// Finishing what it has and taking no more.
    Draining,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "status")]
pub enum Finding {
    /// All is well.
    Ok,
    /// It goes on with what it last knew, which may be no more so. That makes nobody better off who is sent elsewhere.
    Stale {
        /// Why it knows nothing newer, for operators.
        reason: String,
    },
    /// It is not.
    Failing {
        /// Why, for operators.
        reason: String,
    },
}

impl Status {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Draining => "draining",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Serving,
    Draining,
}

impl Health {
    /// The health of a service that starts.
    pub fn new() -> Self {
        let checks = BTreeMap::new();
        let report = Report { status: Status::Starting, checks, phase: Phase::Starting };
        Self(Arc::new(watch::Sender::new(report)))
    }

    /// Adds a check, which fails until its first report.
    pub fn check(&self, name: &'static str) -> Check {
        let check = Check { name, health: self.clone() };
        check.report(Finding::Failing { reason: "not checked yet".to_owned() });
        check
    }

    /// What the service says of itself now.
    pub fn report(&self) -> Report {
        self.0.borrow().clone()
    }

    /// Whether the service should be sent work.
    pub fn is_ready(&self) -> bool {
        self.0.borrow().is_ready()
    }

    /// `answers` until the service drains, which would otherwise wait for a stream that never ends by itself.
    pub fn until_draining<S: Stream>(&self, answers: S) -> impl Stream<Item = S::Item> + use<S> {
        let mut reports = self.subscribe();
        // Without a sender there is no service any more.
        answers.take_until(async move { drop(reports.wait_for(Report::is_draining).await) })
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.0.borrow().is_draining()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Report> {
        self.0.subscribe()
    }

    pub(crate) fn serving(&self) {
        self.change(|report| report.phase = Phase::Serving);
    }

    pub(crate) fn draining(&self) {
        self.change(|report| report.phase = Phase::Draining);
    }

    fn change(&self, change: impl FnOnce(&mut Report)) {
        self.0.send_modify(|report| {
            change(report);
            report.status = report.summary();
        });
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Report {
    /// Whether the service should be sent work.
    pub fn is_ready(&self) -> bool {
        self.status == Status::Ok
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.phase == Phase::Draining
    }

    fn summary(&self) -> Status {
        let fails = |finding: &Finding| matches!(finding, Finding::Failing { .. });
        match self.phase {
            Phase::Starting => Status::Starting,
            Phase::Draining => Status::Draining,
            Phase::Serving if self.checks.values().any(fails) => Status::Degraded,
            Phase::Serving => Status::Ok,
        }
    }
}

/// One thing that a service needs in order to be ready.
#[derive(Debug)]
pub struct Check {
    name: &'static str,
    health: Health,
}

impl Check {
    /// Often enough that a gateway which asks every few seconds is told the truth.
    const EVERY: Duration = Duration::from_secs(2);
    /// What takes longer than this is as good as away.
    pub const PATIENCE: Duration = Duration::from_secs(1);

    /// Notes what was found.
    pub fn report(&self, finding: Finding) {
        self.health.change(|report| {
            report.checks.insert(self.name, finding);
        });
    }

    /// Asks by calling `ask`, again and again, and notes what is answered, until `stop`.
    pub async fn keep_asking<F, E>(self, mut ask: impl FnMut() -> F, stop: CancellationToken)
    where
        F: Future<Output = Result<(), E>>,
        E: Display,
    {
        self.follow(move || Self::ask_once(ask()), stop).await;
    }

    /// Notes what `find` finds, again and again, until `stop`.
    pub(crate) async fn follow<F>(self, mut find: impl FnMut() -> F, stop: CancellationToken)
    where
        F: Future<Output = Finding>,
    {
        let mut last = None;
        loop {
            let Some(found) = stop.run_until_cancelled(find()).await else { return };
            if last.as_ref() != Some(&found) {
                self.tell(&found);
                self.report(found.clone());
                last = Some(found);
            }
            if stop.run_until_cancelled(tokio::time::sleep(Self::EVERY)).await.is_none() {
                return;
            }
        }
    }

    async fn ask_once<E: Display>(answer: impl Future<Output = Result<(), E>>) -> Finding {
        let reason = match tokio::time::timeout(Self::PATIENCE, answer).await {
            Ok(Ok(())) => return Finding::Ok,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {:?}", Self::PATIENCE),
        };
        Finding::Failing { reason }
    }

    fn tell(&self, finding: &Finding) {
        match finding {
            Finding::Ok => tracing::info!(check = self.name, "check passes"),
            Finding::Stale { reason } => tracing::warn!(check = self.name, reason, "check finds what is old"),
            Finding::Failing { reason } => tracing::warn!(check = self.name, reason, "check fails"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(reason: &str) -> Finding {
        Finding::Failing { reason: reason.to_owned() }
    }

    #[test]
    fn a_service_is_ready_between_start_and_drain_while_its_checks_pass() {
        let health = Health::new();
        let check = health.check("database");
        let mut told = vec![health.report().status];
        health.serving();
        told.push(health.report().status);
        check.report(Finding::Ok);
        told.push(health.report().status);
        check.report(failing("away"));
        told.push(health.report().status);
        health.draining();
        check.report(Finding::Ok);
        told.push(health.report().status);
        let story = [Status::Starting, Status::Degraded, Status::Ok, Status::Degraded, Status::Draining];
        assert_eq!(told, story);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_follows_what_it_asks_and_takes_silence_for_a_failure() {
        let health = Health::new();
        let (stop, mut seen) = (CancellationToken::new(), health.subscribe());
        let answers = [Ok(()), Err("away"), Ok(())];
        let mut asked = 0;
        let ask = || {
            let answer = answers.get(asked).copied();
            asked += 1;
            async move {
                match answer {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            }
        };
        let watching = health.check("database").keep_asking(ask, stop.clone());
        let reading = async {
            for expected in [Finding::Ok, failing("away"), Finding::Ok, failing("no answer within 1s")] {
                let found = seen.wait_for(|report| report.checks.get("database") == Some(&expected)).await;
                drop(found.unwrap());
            }
            stop.cancel();
        };
        tokio::join!(watching, reading);
    }
}
