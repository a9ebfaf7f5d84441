use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps each of many, such as clients, from taking up what all of them share: so much of each key at once and no more
/// (the bulkhead of Nygard, "Release It!"). Nobody waits, unlike at a [`Bulkhead`](crate::Bulkhead), which guards one
/// caller from one callee. It remembers the keys of which something is under way. Clones are the same.
#[derive(Clone, Debug)]
pub struct KeyedBulkhead<K>(Arc<Shared<K>>);

#[derive(Debug)]
struct Shared<K> {
    most: usize,
    under_way: Mutex<BTreeMap<K, usize>>,
}

/// Something of a key that is under way, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Entered<K: Ord> {
    bulkhead: KeyedBulkhead<K>,
    key: K,
}

impl<K: Ord + Clone> KeyedBulkhead<K> {
    /// For at most `most` of each key at once.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Shared { most, under_way: Mutex::default() }))
    }

    /// Begins another of `key`; nothing where as many are under way as may be.
    pub fn enter(&self, key: &K) -> Option<Entered<K>> {
        let mut under_way = self.under_way();
        let count = under_way.entry(key.clone()).or_default();
        if *count >= self.0.most {
            return None;
        }
        *count += 1;
        Some(Entered { bulkhead: self.clone(), key: key.clone() })
    }
}

impl<K> KeyedBulkhead<K> {
    fn under_way(&self) -> MutexGuard<'_, BTreeMap<K, usize>> {
        self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord> Drop for Entered<K> {
    fn drop(&mut self) {
        let mut under_way = self.bulkhead.under_way();
        match under_way.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(under_way.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_so_much_under_way_and_may_begin_again_when_some_of_it_is_over() {
        let bulkhead = KeyedBulkhead::new(2);
        let [first, _second] = [(); 2].map(|()| bulkhead.enter(&7).unwrap());
        assert!(bulkhead.enter(&7).is_none());
        let _other = bulkhead.enter(&8).unwrap();
        drop(first);
        let _third = bulkhead.enter(&7).unwrap();
        assert!(bulkhead.enter(&7).is_none());
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let bulkhead = KeyedBulkhead::new(1);
        let entered: Vec<_> = (0..100).map(|key| bulkhead.enter(&key)).collect();
        assert_eq!(bulkhead.under_way().len(), 100);
        drop(entered);
        assert!(bulkhead.under_way().is_empty());
    }
}
