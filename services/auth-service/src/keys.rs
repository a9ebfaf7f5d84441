//! Which key signs and which ones are published: what follows from the keys there are and the time alone.

mod ring;
mod seal;

use std::sync::Arc;
use std::time::Duration;

use service_auth::{KeySet, SigningKey};
use types::Timestamp;

pub(crate) use self::ring::{Keyring, RotateError};
pub use self::seal::SealingKey;
pub(crate) use self::seal::Unsealable;
use crate::session::ACCESS_LIFETIME;

/// How long a key is published before it signs: every replica has read it by then, and every service has asked for the
/// keys again, which it does once a minute.
const AHEAD: Duration = Duration::from_secs(2 * 60);

/// How much longer than its last token a key is published: the clocks of replicas differ, and one that is late signs
/// with the key before for so long.
const MARGIN: Duration = Duration::from_secs(60);

/// A signing key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredKey {
    /// Its number; the newest has the highest.
    pub(crate) generation: i64,
    /// What tokens name it by.
    pub(crate) kid: String,
    /// Its seed, sealed.
    pub(crate) sealed: Vec<u8>,
    /// When it begins to sign.
    pub(crate) signs_from: Timestamp,
}

/// A signing key in its place among the others.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// Its number.
    pub(crate) generation: i64,
    /// What signs.
    pub(crate) signing: Arc<SigningKey>,
    /// When it begins to.
    pub(crate) signs_from: Timestamp,
}

/// The keys there are, the oldest first. There is one at least.
#[derive(Clone, Debug)]
pub(crate) struct Schedule(Vec<Key>);

impl Schedule {
    /// `keys` in the order of their generations, if there are any.
    pub(crate) fn new(keys: Vec<Key>) -> Option<Self> {
        if keys.is_empty() { None } else { Some(Self(keys)) }
    }

    /// Adds the key that was made next, if it is not there yet.
    pub(crate) fn add(&mut self, next: Key) {
        if next.generation > self.newest().generation {
            self.0.push(next);
        }
    }

    /// The key that signs at `now`: the newest whose time has come. Where the clock is behind the one by which the first
    /// key was made, that one.
    pub(crate) fn signer(&self, now: Timestamp) -> &Key {
        let come = self.0.iter().rev().find(|key| key.signs_from <= now);
        come.or(self.0.first()).expect("there is a key at least")
    }

    /// The keys that tokens are checked with at `now`.
    pub(crate) fn published(&self, now: Timestamp) -> KeySet {
        let published = self.with_ends().filter(|(_, end)| end.is_none_or(|end| now < end));
        KeySet::new(published.map(|(key, _)| key.signing.public()))
    }

    /// The keys that are published no more at `now`, and that nobody needs.
    pub(crate) fn retired(&self, now: Timestamp) -> impl Iterator<Item = &Key> {
        self.with_ends().filter(move |(_, end)| end.is_some_and(|end| end <= now)).map(|(key, _)| key)
    }

    /// Each key, the oldest first, and until when it is published; nothing while none is to take its place.
    pub(crate) fn with_ends(&self) -> impl DoubleEndedIterator<Item = (&Key, Option<Timestamp>)> {
        let next = |at: usize| self.0.get(at + 1).map(|next| next.signs_from.after(ACCESS_LIFETIME + MARGIN));
        self.0.iter().enumerate().map(move |(at, key)| (key, next(at)))
    }

    /// The generation of the next key and when it is to sign, or nothing while one waits for its time.
    pub(crate) fn next(&self, now: Timestamp) -> Option<(i64, Timestamp)> {
        let newest = self.newest();
        (newest.signs_from <= now).then(|| (newest.generation + 1, now.after(AHEAD)))
    }

    /// Whether the newest key is so old at `now` that another is to take its place.
    pub(crate) fn is_due(&self, now: Timestamp, max_age: Duration) -> bool {
        now.since(self.newest().signs_from) >= max_age
    }

    /// The key that tokens name `kid`.
    pub(crate) fn get(&self, kid: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.signing.kid() == kid)
    }

    fn newest(&self) -> &Key {
        self.0.last().expect("there is a key at least")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_785_000_000_000_000);
    const HOUR: Duration = Duration::from_secs(60 * 60);
    const SECOND: Duration = Duration::from_secs(1);

    fn schedule(signs_from: &[Timestamp]) -> Schedule {
        let key = |(number, &signs_from): (u8, &Timestamp)| Key {
            generation: number.into(),
            signing: Arc::new(SigningKey::from_seed(&[number; 32])),
            signs_from,
        };
        Schedule::new((1..).zip(signs_from).map(key).collect()).unwrap()
    }

    fn published(schedule: &Schedule, now: Timestamp) -> Vec<i64> {
        let set = schedule.published(now);
        schedule
            .0
            .iter()
            .filter(|key| set.get(key.signing.kid()).is_some())
            .map(|key| key.generation)
            .collect()
    }

    #[test]
    fn the_next_key_is_published_before_it_signs_and_the_last_until_its_tokens_have_expired() {
        let turn = START.after(HOUR);
        let schedule = schedule(&[START, turn]);
        let state = |now| (schedule.signer(now).generation, published(&schedule, now));
        assert_eq!(state(START), (1, vec![1, 2]));
        assert_eq!(state(turn.before(SECOND)), (1, vec![1, 2]));
        assert_eq!(state(turn), (2, vec![1, 2]));
        let last = turn.after(ACCESS_LIFETIME + MARGIN);
        assert_eq!(state(last.before(SECOND)), (2, vec![1, 2]));
        assert_eq!(state(last), (2, vec![2]));
        assert_eq!(schedule.retired(last.before(SECOND)).count(), 0);
        assert_eq!(schedule.retired(last).map(|key| key.generation).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn the_only_key_signs_also_where_the_clock_is_behind() {
        let schedule = schedule(&[START]);
        assert_eq!(schedule.signer(START.before(HOUR)).generation, 1);
        assert_eq!(published(&schedule, START.before(HOUR)), [1]);
        assert_eq!(published(&schedule, START.after(HOUR * 24 * 365)), [1]);
    }

    #[test]
    fn a_rotation_begins_when_the_one_before_is_over() {
        let schedule = schedule(&[START, START.after(AHEAD)]);
        assert_eq!(schedule.next(START), None);
        let turn = START.after(AHEAD);
        assert_eq!(schedule.next(turn), Some((3, turn.after(AHEAD))));
    }

    #[test]
    fn a_key_is_due_by_the_age_of_the_newest() {
        let schedule = schedule(&[START, START.after(HOUR)]);
        assert!(!schedule.is_due(START.after(HOUR * 2), HOUR * 2));
        assert!(schedule.is_due(START.after(HOUR * 3), HOUR * 2));
    }
}
