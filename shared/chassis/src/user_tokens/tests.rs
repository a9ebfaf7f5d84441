use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use runtime::{Clock, Random};
use service_auth::{Issuer, KeySet, SigningKey};
use telemetry::Metrics;
use tokio::time::{Instant, advance, sleep};
use tokio_util::sync::CancellationToken;
use types::{Id, Role, ServiceName, Timestamp};
use uuid::Uuid;

use super::asking::{Keeper, NoAnswer};
use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_785_000_000_000_000);

/// An issuer that answers with what it is given, and a check that asks it.
struct World {
    tokens: UserTokens,
    keeper: Keeper,
    issuer: Mutex<Answer>,
    asked: AtomicUsize,
}

#[derive(Clone)]
enum Answer {
    Keys(Vec<u64>),
    Failure,
    Silence,
}

fn key(seed: u64) -> SigningKey {
    SigningKey::generate(&Random::seeded(seed)).0
}

/// A token that the key of this seed has signed.
fn token(seed: u64) -> String {
    let [user, session] = [Uuid::from_u128(1), Uuid::from_u128(2)];
    let claims = Claims {
        user: Id::from_uuid(user),
        session: Id::from_uuid(session),
        role: Role::Customer,
        version: 1,
        id: Uuid::from_u128(3),
        issued_at: NOW,
        not_before: NOW,
        expires_at: NOW.after(Duration::from_secs(600)),
    };
    key(seed).sign(&Issuer::default(), &claims)
}

impl World {
    fn new(answer: Answer) -> Self {
        let clock = Clock::reading(|| NOW);
        let verifier = TokenVerifier::new(Issuer::default(), &clock);
        let metrics = Metrics::new(&ServiceName::new("shop"), "1");
        let keeper = Keeper::new(verifier.clone(), &clock, &Random::seeded(7), &metrics);
        let tokens = UserTokens { verifier, asking: Some(Arc::default()) };
        Self { tokens, keeper, issuer: Mutex::new(answer), asked: AtomicUsize::new(0) }
    }

    fn now_answers(&self, answer: Answer) {
        *self.issuer.lock().unwrap() = answer;
    }

    async fn answer(&self) -> Result<KeySet, NoAnswer> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.issuer.lock().unwrap().clone();
        match answer {
            Answer::Keys(seeds) => Ok(KeySet::new(seeds.into_iter().map(|seed| key(seed).public()))),
            Answer::Failure => Err("away".into()),
            Answer::Silence => std::future::pending().await,
        }
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }

    async fn verify(&self, seed: u64) -> Result<(), TokenError> {
        self.tokens.verify(&token(seed), Deadline::within(Duration::from_secs(30))).await.map(drop)
    }

    /// Keeps asking while `story` is told.
    async fn during(&self, story: impl AsyncFnOnce()) {
        let stop = CancellationToken::new();
        let asking = Arc::clone(self.tokens.asking.as_ref().unwrap());
        let keeping = asking.keep(&self.keeper, || self.answer(), stop.clone());
        let telling = async {
            story().await;
            stop.cancel();
        };
        tokio::join!(keeping, telling);
    }
}

#[tokio::test(start_paused = true)]
async fn without_keys_nobody_knows_and_the_issuer_is_asked_until_it_has_some() {
    let world = World::new(Answer::Failure);
    world
        .during(async || {
            sleep(Duration::from_secs(10)).await;
            assert_eq!(world.verify(1).await, Err(TokenError::NoKeys));
            assert!((20..=32).contains(&world.asked()), "twice in each second, and sooner at first");
            world.now_answers(Answer::Keys(vec![1]));
            assert_eq!(world.verify(1).await, Ok(()), "the first keys are waited for");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_keys_are_asked_for_every_minute() {
    let world = World::new(Answer::Keys(vec![1]));
    world
        .during(async || {
            sleep(Duration::from_secs(1)).await;
            assert_eq!(world.asked(), 1);
            world.now_answers(Answer::Keys(vec![2]));
            sleep(Duration::from_secs(53)).await;
            assert_eq!((world.asked(), world.verify(1).await), (0, Ok(())));
            sleep(Duration::from_secs(6)).await;
            assert_eq!(world.asked(), 1);
            assert_eq!((world.verify(1).await, world.verify(2).await), (Err(TokenError::UnknownKey), Ok(())));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_asked_for_at_once_and_waited_for() {
    let world = World::new(Answer::Keys(vec![1]));
    world
        .during(async || {
            sleep(Duration::from_secs(10)).await;
            world.now_answers(Answer::Keys(vec![1, 2]));
            let began = Instant::now();
            assert_eq!(world.verify(2).await, Ok(()));
            assert_eq!((world.asked(), began.elapsed()), (2, Duration::ZERO));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn made_up_keys_are_asked_for_no_more_than_every_five_seconds_however_many_come() {
    let world = World::new(Answer::Keys(vec![1]));
    world
        .during(async || {
            sleep(Duration::from_secs(10)).await;
            world.asked();
            for _ in 0..40 {
                assert_eq!(world.verify(9).await, Err(TokenError::UnknownKey));
                assert_eq!(world.verify(8).await, Err(TokenError::UnknownKey));
                advance(Duration::from_millis(500)).await;
            }
            assert!((4..=5).contains(&world.asked()), "twenty seconds of them");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_nobody_can_be_asked_about_is_not_called_wrong() {
    let world = World::new(Answer::Keys(vec![1]));
    world
        .during(async || {
            sleep(Duration::from_secs(10)).await;
            world.now_answers(Answer::Failure);
            assert_eq!(world.verify(2).await, Err(TokenError::NoKeys));
            assert_eq!(world.verify(1).await, Ok(()), "what is known stays");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_issuer_is_waited_for_a_second_at_most_and_within_the_deadline() {
    let world = World::new(Answer::Keys(vec![1]));
    world
        .during(async || {
            sleep(Duration::from_secs(10)).await;
            world.now_answers(Answer::Silence);
            let began = Instant::now();
            assert_eq!(world.verify(2).await, Err(TokenError::NoKeys));
            assert_eq!(began.elapsed(), Duration::from_secs(1));
            let soon = Deadline::within(Duration::from_millis(300));
            assert_eq!(world.tokens.verify(&token(2), soon).await.err(), Some(TokenError::NoKeys));
            assert_eq!(began.elapsed(), Duration::from_millis(1_300));
        })
        .await;
}
