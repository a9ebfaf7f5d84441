#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime::Random;
use tokio::time::Instant;

use crate::{Quota, RetryAfter};

/// Limits how often each key, such as an address or an account, may do something: the generic cell rate algorithm
/// (GCRA, of ITU-T I.371), which keeps one number for each key. It knows of nothing that another limiter allows, such as
/// that of another instance.
///
/// That number is the key's *theoretical arrival time*: when what it has done so far would be paid off. A key that owes
/// nothing is as good as one that was never seen.
///
/// Memory is bounded: the keys lie in sets of a fixed size, by their hash. When a set is full of keys that owe
/// something, the one that owes least is forgotten, which is the one that would be first to be forgotten anyway. Nobody
/// is refused for the sake of others, and whoever owes much cannot get rid of it by making up other keys.
pub struct KeyedLimiter<K> {
    quota: Quota,
    origin: Instant,
    /// Has taken in a secret, so that nobody can choose keys of one set.
    hasher: DefaultHasher,
    sets: Box<[Mutex<Vec<Debt<K>>>]>,
}

/// A key and its theoretical arrival time, in nanoseconds since the limiter was made.
struct Debt<K> {
    key: K,
    paid_off: u64,
}

/// Enough that a set overflows only when the keys that are kept are more than half of all that may be.
const SET: usize = 16;

impl<K: Hash + Eq + Clone> KeyedLimiter<K> {
    /// For at most about `most_keys` keys that owe something at the same time; memory is taken as they come.
    pub fn new(quota: Quota, most_keys: usize, random: &Random) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(&random.bytes::<16>());
        let sets = most_keys.div_ceil(SET).max(1).next_power_of_two();
        let sets = (0..sets).map(|_| Mutex::default()).collect();
        Self { quota, origin: Instant::now(), hasher, sets }
    }

    /// Allows `key` one more and charges it for that, or not.
    ///
    /// # Errors
    /// [`RetryAfter`]; the key is not charged then.
    pub fn check(&self, key: &K) -> Result<(), RetryAfter> {
        let now = self.now();
        let mut set = self.set(key);
        let paid_off = paid_off(&set, key);
        self.allows(paid_off, now)?;
        self.write(&mut set, key, paid_off.max(now) + self.quota.interval(), now);
        Ok(())
    }

    /// Takes back what `key` was charged for one, because it does not count after all.
    pub fn give_back(&self, key: &K) {
        let mut set = self.set(key);
        if let Some(debt) = set.iter_mut().find(|debt| debt.key == *key) {
            debt.paid_off = debt.paid_off.saturating_sub(self.quota.interval());
        }
    }

    /// How many keys are kept.
    #[cfg(test)]
    fn keys(&self) -> usize {
        self.sets.iter().map(|set| locked(set).len()).sum()
    }

    fn allows(&self, paid_off: u64, now: u64) -> Result<(), RetryAfter> {
        let wait = paid_off.saturating_sub(now + self.quota.tolerance());
        if wait == 0 { Ok(()) } else { Err(RetryAfter(Duration::from_nanos(wait))) }
    }

    fn write(&self, set: &mut Vec<Debt<K>>, key: &K, paid_off: u64, now: u64) {
        if let Some(debt) = set.iter_mut().find(|debt| debt.key == *key) {
            debt.paid_off = paid_off;
            return;
        }
        let (debt, is_full) = (Debt { key: key.clone(), paid_off }, set.len() == SET);
        match set.iter_mut().min_by_key(|debt| debt.paid_off) {
            Some(least) if is_full || least.paid_off <= now => *least = debt,
            _ => set.push(debt),
        }
    }

    fn set(&self, key: &K) -> MutexGuard<'_, Vec<Debt<K>>> {
        let mut hasher = self.hasher.clone();
        key.hash(&mut hasher);
        // There is a power of two of them, and no platform of ours has a narrower word.
        locked(&self.sets[hasher.finish() as usize & (self.sets.len() - 1)])
    }

    /// In nanoseconds, of which there are enough for centuries.
    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }
}

/// When `key` will have paid off what it owes; long ago if it owes nothing.
fn paid_off<K: Eq>(set: &[Debt<K>], key: &K) -> u64 {
    set.iter().find(|debt| debt.key == *key).map_or(0, |debt| debt.paid_off)
}

fn locked<K>(set: &Mutex<Vec<Debt<K>>>) -> MutexGuard<'_, Vec<Debt<K>>> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K> fmt::Debug for KeyedLimiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedLimiter").field("quota", &self.quota).finish_non_exhaustive()
    }
}
