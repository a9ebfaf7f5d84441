//! What one replica does for all: making the next signing key in time, and sweeping what nobody needs any more.

use std::time::Duration;

use database::{Batch, CommitError, Database, Lease, ReadError};
use runtime::{Clock, Deadline, Ids, Random};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use types::Timestamp;

use crate::Config;
use crate::desk::Desk;
use crate::keys::{Keyring, RotateError};
use crate::session::Lifetimes;
use crate::store::{self, Sweep};

/// Keeps the house, as long as it holds the lease.
pub(crate) struct Housekeeping {
    database: Database,
    keys: Keyring,
    lifetimes: Lifetimes,
    key_max_age: Duration,
    clock: Clock,
    ids: Ids,
    random: Random,
}

/// Why a round was not finished.
#[derive(Debug, thiserror::Error)]
enum Unfinished {
    #[error("claiming or releasing the lease")]
    Lease(#[source] CommitError),
    #[error("rotating the signing keys")]
    Rotate(#[source] RotateError),
    #[error("forgetting signing keys")]
    Forget(#[source] CommitError),
    #[error("looking for what is to be swept")]
    Read(#[from] ReadError),
    #[error("sweeping")]
    Commit(#[from] CommitError),
}

impl Housekeeping {
    const LEASE: &str = "housekeeping";
    /// A round comes within one and a half of these, and a key or a row may get as much older than it should.
    const BETWEEN_ROUNDS: Duration = Duration::from_secs(60);
    /// A round ends before this; who was paused for longer is fenced off.
    const TERM: Duration = Duration::from_secs(120);
    /// Between two deletes, so that whoever waits for the database has its turn.
    const PACE: Duration = Duration::from_millis(100);
    /// Deletes of a round. With their pauses they take less than half of the term.
    const MOST_DELETES: u32 = 400;
    /// For each step.
    const PATIENCE: Duration = Duration::from_secs(5);

    pub(crate) fn new(config: &Config, desk: &Desk) -> Self {
        let Desk { database, keys, lifetimes, clock, ids, random, .. } = desk.clone();
        Self { database, keys, lifetimes, key_max_age: config.key_max_age, clock, ids, random }
    }

    /// Keeps the house until `stop`.
    pub(crate) async fn keep(self, stop: CancellationToken) {
        let holder = self.ids.uuid().to_string();
        loop {
            // Apart from other replicas, so that one that ends is followed soon.
            let pause = Self::BETWEEN_ROUNDS / 2 + self.random.jitter(Self::BETWEEN_ROUNDS);
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
            match stop.run_until_cancelled(self.round(&holder)).await {
                None => return,
                Some(Ok(())) => {}
                // The next round, here or elsewhere, goes on with it.
                Some(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "housekeeping was not finished");
                }
            }
        }
    }

    async fn round(&self, holder: &str) -> Result<(), Unfinished> {
        let lease = self.database.claim_lease(Self::LEASE, holder, Self::TERM, soon()).await;
        let Some(lease) = lease.map_err(Unfinished::Lease)? else { return Ok(()) };
        let outcome = self.work(&lease).await;
        let released = self.database.release_lease(lease, soon()).await;
        outcome.and(released.map_err(Unfinished::Lease))
    }

    /// Does every duty, whatever becomes of the others, and tells the first that failed.
    async fn work(&self, lease: &Lease) -> Result<(), Unfinished> {
        let rotated = self.keys.rotate_if_due(self.key_max_age, lease, soon()).await;
        let forgotten = self.keys.forget_retired(lease, soon()).await;
        let mut outcome = rotated.map_err(Unfinished::Rotate).and(forgotten.map_err(Unfinished::Forget));
        let mut left = Self::MOST_DELETES;
        for (what, moment) in self.old(self.clock.now()) {
            outcome = outcome.and(self.sweep(what, moment, &mut left, lease).await);
        }
        outcome
    }

    async fn sweep(
        &self,
        what: Sweep,
        moment: Timestamp,
        left: &mut u32,
        lease: &Lease,
    ) -> Result<(), Unfinished> {
        while *left > 0 && store::has_more(&self.database, what, moment, soon()).await? {
            let mut batch = Batch::new();
            store::sweep(&mut batch, what, moment);
            self.database.commit(batch.fenced_by(lease).clone(), soon()).await?;
            sleep(Self::PACE).await;
            *left -= 1;
        }
        Ok(())
    }

    /// What is to be swept, and from when on it is old.
    fn old(&self, now: Timestamp) -> [(Sweep, Timestamp); 3] {
        // No session outlives this that has a token from before. As long as one goes on, a spent token of it tells of
        // a thief, however old it is. Sessions go after their tokens, and are remembered for knowing networks by them.
        let over = now.before(self.lifetimes.idle.max(self.lifetimes.absolute));
        [(Sweep::Tokens, over), (Sweep::Sessions, over), (Sweep::Revocations, now)]
    }
}

fn soon() -> Deadline {
    Deadline::within(Housekeeping::PATIENCE)
}

#[cfg(test)]
mod tests {
    use database::{Sql, params};
    use types::SessionId;
    use uuid::Uuid;

    use super::*;
    use crate::keys::{SealingKey, StoredKey};
    use crate::refresh::{Ruling, rule};
    use crate::refresh_token::TokenHash;
    use crate::session::{LoginName, Session};
    use crate::store::Renewed;
    use crate::store::fixture::{ADA, World};

    const START: Timestamp = Timestamp::from_micros(1_785_000_000_000_000);
    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn expiry(created_at: Timestamp, now: Timestamp) -> Timestamp {
        Lifetimes::default().expiry(created_at, now)
    }

    impl World {
        async fn house(&self, now: Timestamp) -> Housekeeping {
            let env = runtime::Env { clock: Clock::reading(move || now), ..self.env.clone() };
            let keys = Keyring::open(&env, &self.database, SealingKey::new(&[1; 32]), soon()).await.unwrap();
            let (lifetimes, key_max_age) = (Lifetimes::default(), HOUR);
            let (database, clock, ids, random) = (self.database.clone(), env.clock, env.ids, env.random);
            Housekeeping { database, keys, lifetimes, key_max_age, clock, ids, random }
        }

        /// A session that begins at `now` and is used once in each of `uses`, and its tokens.
        async fn used(&self, now: Timestamp, uses: &[Timestamp]) -> (SessionId, Vec<TokenHash>) {
            let session = Session { expires_at: expiry(now, now), ..self.session(ADA, now) };
            let mut tokens = vec![self.token()];
            let login = LoginName::new("ada@example.com");
            self.commit(|batch| store::begin(batch, &session, &login, &tokens[0])).await.unwrap();
            for &now in uses {
                let presented = self.presented(*tokens.last().unwrap()).await;
                let expires_at = expiry(session.created_at, now);
                let renewed = Renewed { version: 1, token: self.token(), now, expires_at };
                self.commit(|batch| store::rotate(batch, &presented, &renewed)).await.unwrap();
                tokens.push(renewed.token);
            }
            (session.id, tokens)
        }

        async fn generations(&self) -> Vec<i64> {
            let keys = store::keys(&self.database, soon()).await.unwrap();
            keys.into_iter().map(|key| key.generation).collect()
        }
    }

    #[tokio::test]
    async fn a_round_makes_the_next_key_in_time_and_sweeps_what_is_old() {
        World::on_sqlite(async |world| {
            world.house(START).await.round("one").await.unwrap();
            assert_eq!(world.generations().await, [1]);
            world.revoke(1, START).await;
            world.revoke(2, START.after(HOUR)).await;
            let later = world.house(START.after(HOUR)).await;
            later.round("one").await.unwrap();
            assert_eq!(world.generations().await, [1, 2]);
            let left = store::recorded_since(
                &world.database,
                (Timestamp::default(), Uuid::nil()),
                START,
                10,
                soon(),
            );
            let left: Vec<_> = left.await.unwrap().iter().map(|it| it.id.as_u128()).collect();
            assert_eq!(left, [2]);

            world.house(START.after(HOUR * 3 / 2)).await.round("one").await.unwrap();
            assert_eq!(world.generations().await, [2]);
        })
        .await;
    }

    #[tokio::test]
    async fn a_spent_token_is_kept_as_long_as_its_session_can_go_on() {
        World::on_sqlite(async |world| {
            let (now, day) = (START, HOUR * 24);
            let every_six_days = |from: u32, to: u32| -> Vec<_> {
                (from..=to).rev().step_by(6).map(|days| now.before(day * days)).collect()
            };
            let (session, live) = world.used(now.before(day * 29), &every_six_days(1, 23)).await;
            // One that nobody has used since, and one that was used as long as it could be.
            world.used(now.before(day * 31), &[]).await;
            world.used(now.before(day * 61), &every_six_days(31, 55)).await;
            world.house(now).await.round("one").await.unwrap();

            for token in live {
                let presented = world.presented(token).await;
                let expected = if presented.spent.is_some() { Ruling::Reused } else { Ruling::Rotate };
                assert_eq!((rule(&presented, now), presented.session), (expected, session));
            }
            let dead = store::has_more(&world.database, Sweep::Tokens, now.before(day * 29), soon());
            assert!(!dead.await.unwrap());
        })
        .await;
    }

    #[tokio::test]
    async fn a_duty_that_fails_and_a_lease_that_is_not_released_keep_no_other_from_being_done() {
        const KEEP: Sql = Sql::new(
            "CREATE TRIGGER keep BEFORE UPDATE ON flotilla_leases WHEN new.until = 0 \
             BEGIN SELECT RAISE(ABORT, 'kept'); END",
        );
        World::on_sqlite(async |world| {
            let house = world.house(START).await;
            world.revoke(1, START.before(HOUR)).await;
            let (kid, sealed) = ("nobody knows".to_owned(), vec![7; 60]);
            let foreign = StoredKey { generation: 2, kid, sealed, signs_from: START };
            world.commit(|batch| store::insert_key(batch, &foreign)).await.unwrap();
            world.commit(|batch| _ = batch.run(KEEP, params![])).await.unwrap();
            let outcome = house.round("one").await;
            assert!(matches!(outcome, Err(Unfinished::Rotate(_))), "{outcome:?}");
            let more = store::has_more(&world.database, Sweep::Revocations, START, soon());
            assert!(!more.await.unwrap());
        })
        .await;
    }

    #[tokio::test]
    async fn while_one_keeps_the_house_no_other_does() {
        World::on_sqlite(async |world| {
            world.house(START).await;
            let database = &world.database;
            let held = database.claim_lease(Housekeeping::LEASE, "other", Housekeeping::TERM, soon());
            let held = held.await.unwrap().unwrap();
            let later = world.house(START.after(HOUR)).await;
            later.round("one").await.unwrap();
            assert_eq!(world.generations().await, [1]);
            database.release_lease(held, soon()).await.unwrap();
            later.round("one").await.unwrap();
            assert_eq!(world.generations().await, [1, 2]);
        })
        .await;
    }
}
