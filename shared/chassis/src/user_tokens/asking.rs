//! Asking the issuer for its keys, again and again.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use runtime::{Clock, Deadline, Random};
use service_auth::{KeySet, TokenVerifier};
use telemetry::Metrics;
use telemetry::metrics::Gauge;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// Longer than an issuer takes that is well.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// How the issuer's answer, or that there is none, reaches those who wait for it.
#[derive(Debug, Default)]
pub(super) struct Asking {
    wanted: Notify,
    rounds: watch::Sender<Round>,
}

/// The latest question.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    began: Option<Instant>,
    is_under_way: bool,
    /// How many have ended.
    ended: u64,
    /// Whether the last one that has ended got an answer.
    is_answered: bool,
}

/// What is needed to go on asking.
pub(super) struct Keeper {
    pub(super) verifier: TokenVerifier,
    pub(super) clock: Clock,
    pub(super) random: Random,
    heard_at: Gauge,
}

/// Why a question brought no keys.
pub(super) type NoAnswer = Box<dyn Error + Send + Sync>;

impl Round {
    /// Whether there may be another question for a token's sake: strangers make up as many keys as they like.
    fn may_be_followed(&self) -> bool {
        self.began.is_none_or(|began| began.elapsed() >= Asking::BETWEEN)
    }
}

impl Asking {
    /// A new key is published two minutes before it signs, and a withdrawn one is of no use for longer than this.
    const EVERY: Duration = Duration::from_secs(60);
    /// The instances of a platform that started together do not ask together for ever.
    const JITTER: Duration = Duration::from_secs(6);
    /// Between two questions, when one got no answer or a token has a key that is not known.
    const BETWEEN: Duration = Duration::from_secs(5);
    /// The first pause while there are no keys: services that start together wait for each other no longer than
    /// that. Each is twice the one before.
    const FIRST_PAUSE: Duration = Duration::from_millis(10);
    /// While there are no keys, nobody is served. Shorter than a request waits for them.
    const LONGEST_PAUSE: Duration = Duration::from_millis(500);
    /// How long a request waits for the first keys of all: as long as the circuit breaker of an issuer that was not there
    /// is open, a pause, and for the answer.
    const FIRST_WAIT: Duration = Duration::from_secs(2);
    /// How long a request waits for newer keys.
    const WAIT: Duration = Duration::from_secs(1);

    /// Waits until the issuer has been asked once more, if it may be. Whether what is known now is what the issuer
    /// said last.
    pub(super) async fn newer(&self, deadline: Deadline) -> bool {
        let mut rounds = self.rounds.subscribe();
        let seen = *rounds.borrow();
        if !seen.is_under_way && !seen.may_be_followed() {
            return seen.is_answered;
        }
        self.wanted.notify_one();
        let next = rounds.wait_for(|round| round.ended > seen.ended);
        let ended = deadline.at_most(Self::WAIT).bound(next).await;
        ended.is_ok_and(|round| round.is_ok_and(|round| round.is_answered))
    }

    /// Waits until there are keys, which services that start one after the other have a moment later.
    pub(super) async fn first(&self, deadline: Deadline) {
        let mut rounds = self.rounds.subscribe();
        let answered = rounds.wait_for(|round| round.is_answered);
        // Without any, the request is refused as it would have been at once.
        drop(deadline.at_most(Self::FIRST_WAIT).bound(answered).await);
    }

    /// Asks by calling `ask` until `stop`.
    pub(super) async fn keep<F>(&self, keeper: &Keeper, ask: impl Fn() -> F, stop: CancellationToken)
    where
        F: Future<Output = Result<KeySet, NoAnswer>>,
    {
        let mut pause = Self::FIRST_PAUSE;
        let asking = async {
            loop {
                let is_answered = self.once(keeper, ask()).await;
                let rest = match (keeper.verifier.has_keys(), is_answered) {
                    (false, _) => pause,
                    (true, false) => Self::BETWEEN,
                    (true, true) => Self::EVERY - keeper.random.jitter(Self::JITTER),
                };
                pause = Self::LONGEST_PAUSE.min(pause * 2);
                tokio::select! {
                    () = sleep(rest) => {}
                    () = self.until_wanted() => {}
                }
            }
        };
        stop.run_until_cancelled(asking).await;
    }

    /// One question; whether it was answered.
    async fn once(&self, keeper: &Keeper, answer: impl Future<Output = Result<KeySet, NoAnswer>>) -> bool {
        let before = *self.rounds.borrow();
        self.rounds.send_modify(|round| (round.began, round.is_under_way) = (Some(Instant::now()), true));
        let answer = match Deadline::within(PATIENCE).bound(answer).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(elapsed.into()),
        };
        let is_answered = answer.is_ok();
        match answer {
            Ok(keys) => keeper.heard(&keys),
            // Told when it begins: it is asked again each second.
            Err(error) if before.is_answered || before.ended == 0 => {
                tracing::warn!(
                    error = &*error as &dyn Error,
                    "no keys for access tokens; what is known stays"
                );
            }
            Err(error) => tracing::debug!(error = &*error as &dyn Error, "still no keys for access tokens"),
        }
        self.rounds.send_modify(|round| {
            *round = Round { is_under_way: false, ended: round.ended + 1, is_answered, ..*round };
        });
        is_answered
    }

    async fn until_wanted(&self) {
        let Round { began, .. } = *self.rounds.borrow();
        if let Some(began) = began {
            sleep_until(began + Self::BETWEEN).await;
        }
        self.wanted.notified().await;
    }
}

impl Keeper {
    pub(super) fn new(verifier: TokenVerifier, clock: &Clock, random: &Random, metrics: &Metrics) -> Self {
        let name = "flotilla_token_keys_heard_timestamp_seconds";
        let help = "When the keys for access tokens were last heard of";
        let heard_at = metrics.register(name, help, Gauge::default());
        Self { verifier, clock: clock.clone(), random: random.clone(), heard_at }
    }

    fn heard(&self, keys: &KeySet) {
        self.verifier.set_keys(keys);
        self.heard_at.set(self.clock.now().millis() / 1_000);
    }
}
