use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use resilience::{KeyedLimiter, Quota, RetryAfter};
use runtime::{Deadline, Random};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// Four megabytes each, where as many guess at the same time. Then those that owe least are forgotten first.
const MOST_KEYS: usize = 65_536;

/// What each key is charged: for attempts that have failed, and for those that may yet succeed.
#[derive(Debug)]
pub(super) struct Charges<K> {
    limiter: KeyedLimiter<K>,
    /// No more than there are requests at a time.
    open: Mutex<HashMap<K, Open>>,
}

/// The charges of one key that may yet be given back.
#[derive(Debug, Default)]
struct Open {
    count: usize,
    one_is_closed: Arc<Notify>,
}

/// A charge for one attempt, which is given back when this is dropped unless it stays.
#[derive(Debug)]
#[must_use]
pub(super) struct Charge<'a, K: Hash + Eq + Clone> {
    charges: &'a Charges<K>,
    key: K,
    pub(super) stays: bool,
}

/// The key has nothing left.
pub(super) struct Refused {
    retry_after: RetryAfter,
    /// When an open charge of the key is closed; nothing where none is open.
    one_is_closed: Option<OwnedNotified>,
}

impl<K: Hash + Eq + Clone> Charges<K> {
    pub(super) fn new(quota: Quota, random: &Random) -> Self {
        Self { limiter: KeyedLimiter::new(quota, MOST_KEYS, random), open: Mutex::default() }
    }

    /// Charges `key` if it has something left now.
    ///
    /// # Errors
    /// [`Refused`]; the key is not charged then.
    pub(super) fn try_charge(&self, key: &K) -> Result<Charge<'_, K>, Refused> {
        let mut open = self.open();
        if let Err(retry_after) = self.limiter.check(key) {
            let one_is_closed = open.get(key).map(|open| Arc::clone(&open.one_is_closed).notified_owned());
            return Err(Refused { retry_after, one_is_closed });
        }
        open.entry(key.clone()).or_default().count += 1;
        Ok(Charge { charges: self, key: key.clone(), stays: false })
    }

    /// Charges `key`, and waits for that as long as one of its open charges may be given back.
    ///
    /// # Errors
    /// [`RetryAfter`], when none is open or `deadline` has passed; the key is not charged then.
    pub(super) async fn charge(&self, key: &K, deadline: Deadline) -> Result<Charge<'_, K>, RetryAfter> {
        loop {
            let refused = match self.try_charge(key) {
                Ok(charge) => return Ok(charge),
                Err(refused) => refused,
            };
            let retry_after = refused.retry_after;
            let one_is_closed = refused.one_is_closed.ok_or(retry_after)?;
            deadline.bound(one_is_closed).await.or(Err(retry_after))?;
        }
    }
}

impl<K> Charges<K> {
    fn open(&self) -> MutexGuard<'_, HashMap<K, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone> Drop for Charge<'_, K> {
    fn drop(&mut self) {
        let mut all = self.charges.open();
        if !self.stays {
            self.charges.limiter.give_back(&self.key);
        }
        let Some(open) = all.get_mut(&self.key) else { return };
        open.count -= 1;
        open.one_is_closed.notify_waiters();
        if open.count == 0 {
            all.remove(&self.key);
        }
    }
}
