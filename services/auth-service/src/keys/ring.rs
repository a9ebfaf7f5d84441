//! The signing keys in the hands of one replica: made, read and handed on.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use database::{Batch, CommitError, Database, Lease, ReadError};
use runtime::{Clock, Deadline, Env, Random};
use secrecy::ExposeSecret as _;
use service_auth::{Claims, Issuer, KeySet, SigningKey};
use tokio::sync::watch;
use types::{Classify, ErrorClass, Timestamp};

use super::{Key, Schedule, SealingKey, StoredKey, Unsealable};
use crate::store;

/// The signing keys as this replica has last read them. Clones are the same.
#[derive(Clone)]
pub(crate) struct Keyring(Arc<Shared>);

struct Shared {
    database: Database,
    sealing: SealingKey,
    clock: Clock,
    random: Random,
    turns: AtomicU64,
    known: watch::Sender<Known>,
    published: watch::Sender<KeySet>,
}

/// The keys that are known.
struct Known {
    /// When they began to be read, or when the newest was made. A read whose turn came before may lack a key.
    turn: u64,
    schedule: Schedule,
}

/// Why there are no signing keys, or none that are new.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyringError {
    #[error("the signing keys cannot be read")]
    Read(#[from] ReadError),
    #[error("the first signing key cannot be kept")]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Unsealable(#[from] Unsealable),
    #[error("the table of signing keys is empty")]
    Empty,
}

/// Why no rotation has begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotateError {
    #[error("a rotation is under way already")]
    UnderWay,
    #[error("the signing keys cannot be read")]
    Keys(#[from] KeyringError),
    #[error("the next signing key cannot be kept")]
    Commit(#[source] CommitError),
}

impl Classify for KeyringError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Read(error) => error.class(),
            Self::Commit(error) => error.class(),
            Self::Unsealable(_) | Self::Empty => ErrorClass::Internal,
        }
    }
}

impl Classify for RotateError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::UnderWay => ErrorClass::Conflict,
            Self::Keys(error) => error.class(),
            Self::Commit(error) => error.class(),
        }
    }
}

impl Keyring {
    /// The keys that are there; at the first start, the first one is made.
    pub(crate) async fn open(
        env: &Env,
        database: &Database,
        sealing: SealingKey,
        deadline: Deadline,
    ) -> Result<Self, KeyringError> {
        if store::keys(database, deadline).await?.is_empty() {
            Self::found(env, database, &sealing, deadline).await?;
        }
        let stored = store::keys(database, deadline).await?;
        let schedule = opened(&stored, &sealing, None)?;
        let (clock, random) = (env.clock.clone(), env.random.clone());
        let published = watch::Sender::new(schedule.published(clock.now()));
        let (database, turns) = (database.clone(), AtomicU64::new(1));
        let known = watch::Sender::new(Known { turn: 0, schedule });
        Ok(Self(Arc::new(Shared { database, sealing, clock, random, turns, known, published })))
    }

    /// Makes the first key, unless another replica is quicker.
    async fn found(
        env: &Env,
        database: &Database,
        sealing: &SealingKey,
        deadline: Deadline,
    ) -> Result<(), KeyringError> {
        let (_, first) = made(sealing, 1, env.clock.now(), &env.random);
        let mut batch = Batch::new();
        store::insert_key(&mut batch, &first);
        match database.commit(batch, deadline).await {
            Err(error) if error.violates(store::GENERATION_IS_TAKEN) => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    /// The token that says `claims`, signed by the key of the moment.
    pub(crate) fn sign(&self, issuer: &Issuer, claims: &Claims) -> String {
        self.schedule().signer(self.0.clock.now()).signing.sign(issuer, claims)
    }

    /// The keys that are published, as they change.
    pub(crate) fn published(&self) -> watch::Receiver<KeySet> {
        self.0.published.subscribe()
    }

    /// The keys there are.
    pub(crate) fn schedule(&self) -> Schedule {
        self.0.known.borrow().schedule.clone()
    }

    /// Reads again which keys there are, and publishes those whose time it is. What cannot be read changes nothing.
    pub(crate) async fn refresh(&self, deadline: Deadline) -> Result<(), KeyringError> {
        let turn = self.turn();
        let stored = store::keys(&self.0.database, deadline).await?;
        self.know(turn, opened(&stored, &self.0.sealing, Some(&self.schedule()))?);
        Ok(())
    }

    /// Higher than those of all reads that have begun.
    fn turn(&self) -> u64 {
        self.0.turns.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes what was read, unless something newer is known.
    fn know(&self, turn: u64, schedule: Schedule) {
        self.0.known.send_if_modified(|known| {
            let is_newer = turn > known.turn;
            if is_newer {
                *known = Known { turn, schedule };
                self.publish(&known.schedule);
            }
            is_newer
        });
    }

    /// Takes a key that was just made.
    fn add(&self, key: Key) {
        self.0.known.send_modify(|known| {
            known.turn = self.turn();
            known.schedule.add(key);
            self.publish(&known.schedule);
        });
    }

    fn publish(&self, schedule: &Schedule) {
        let published = schedule.published(self.0.clock.now());
        self.0.published.send_if_modified(|before| {
            let is_new = *before != published;
            *before = published;
            is_new
        });
    }

    /// Makes the next key.
    pub(crate) async fn rotate(&self, deadline: Deadline) -> Result<Key, RotateError> {
        self.make_next(None, deadline).await
    }

    /// Makes the next key, under `lease`, if the newest is older than `max_age`.
    pub(crate) async fn rotate_if_due(
        &self,
        max_age: Duration,
        lease: &Lease,
        deadline: Deadline,
    ) -> Result<(), RotateError> {
        self.refresh(deadline).await?;
        if self.schedule().is_due(self.0.clock.now(), max_age) {
            let key = self.make_next(Some(lease), deadline).await?;
            tracing::info!(kid = key.signing.kid(), signs_from = %key.signs_from, "the next signing key is made");
        }
        Ok(())
    }

    /// Forgets the keys whose last tokens have expired.
    pub(crate) async fn forget_retired(&self, lease: &Lease, deadline: Deadline) -> Result<(), CommitError> {
        let mut batch = Batch::new();
        for key in self.schedule().retired(self.0.clock.now()) {
            store::delete_key(&mut batch, key.generation);
        }
        self.0.database.commit(batch.fenced_by(lease).clone(), deadline).await
    }

    async fn make_next(&self, lease: Option<&Lease>, deadline: Deadline) -> Result<Key, RotateError> {
        self.refresh(deadline).await?;
        let next = self.schedule().next(self.0.clock.now());
        let (generation, signs_from) = next.ok_or(RotateError::UnderWay)?;
        let (key, stored) = made(&self.0.sealing, generation, signs_from, &self.0.random);
        let mut batch = Batch::new();
        store::insert_key(&mut batch, &stored);
        if let Some(lease) = lease {
            batch.fenced_by(lease);
        }
        match self.0.database.commit(batch, deadline).await {
            Err(error) if error.violates(store::GENERATION_IS_TAKEN) => return Err(RotateError::UnderWay),
            outcome => outcome.map_err(RotateError::Commit)?,
        }
        self.add(key.clone());
        Ok(key)
    }
}

/// A new key for `generation`, and how it is stored.
fn made(sealing: &SealingKey, generation: i64, signs_from: Timestamp, random: &Random) -> (Key, StoredKey) {
    let (signing, seed) = SigningKey::generate(random);
    let sealed = sealing.seal(signing.kid(), seed.expose_secret(), random);
    let stored = StoredKey { generation, kid: signing.kid().to_owned(), sealed, signs_from };
    (Key { generation, signing: Arc::new(signing), signs_from }, stored)
}

/// The stored keys, of which those that are known already need not be opened.
fn opened(
    stored: &[StoredKey],
    sealing: &SealingKey,
    known: Option<&Schedule>,
) -> Result<Schedule, KeyringError> {
    let open = |stored: &StoredKey| {
        let known = known.and_then(|known| known.get(&stored.kid)).map(|key| Arc::clone(&key.signing));
        let signing = match known {
            Some(signing) => signing,
            None => Arc::new(sealing.open(&stored.kid, &stored.sealed)?),
        };
        Ok(Key { generation: stored.generation, signing, signs_from: stored.signs_from })
    };
    let keys = stored.iter().map(open).collect::<Result<_, KeyringError>>()?;
    Schedule::new(keys).ok_or(KeyringError::Empty)
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyring").field(&self.0.known.borrow().schedule).finish()
    }
}
