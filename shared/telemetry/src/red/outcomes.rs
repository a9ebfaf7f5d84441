use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::OTHER;
use crate::metrics::{Gauge, Histogram};

/// The durations of each route or method that is known, by outcome. A request costs one lookup of its name
/// and a glance over the few outcomes that name has had, where a family would hash all labels.
pub(super) struct Outcomes<K> {
    known: RwLock<HashMap<Arc<str>, Arc<Named<K>>>>,
    other: Arc<Named<K>>,
}

/// One route or method.
pub(super) struct Named<K> {
    pub(super) name: Arc<str>,
    active: OnceLock<Gauge>,
    durations: RwLock<Vec<(K, Histogram)>>,
}

impl<K: Copy + PartialEq> Outcomes<K> {
    /// Several times what any service has; beyond it somebody takes paths for routes.
    const MOST: usize = 256;

    pub(super) fn new() -> Self {
        Self { known: RwLock::default(), other: Named::new(OTHER.into()) }
    }

    /// What goes by this name if it is known, else what is not known.
    pub(super) fn get(&self, name: &str) -> Arc<Named<K>> {
        self.lookup(name).unwrap_or_else(|| Arc::clone(&self.other))
    }

    /// What goes by this name, made known if it was not, as long as there are not too many.
    pub(super) fn get_or_learn(&self, name: &str) -> Arc<Named<K>> {
        if let Some(known) = self.lookup(name) {
            return known;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= Self::MOST {
            return Arc::clone(&self.other);
        }
        let name: Arc<str> = name.into();
        // Another thread may have been first.
        Arc::clone(known.entry(Arc::clone(&name)).or_insert_with(|| Named::new(name)))
    }

    fn lookup(&self, name: &str) -> Option<Arc<Named<K>>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

impl<K: Copy + PartialEq> Named<K> {
    fn new(name: Arc<str>) -> Arc<Self> {
        Arc::new(Self { name, active: OnceLock::new(), durations: RwLock::default() })
    }

    /// How many are being answered; `gauge` finds the registered gauge at first.
    pub(super) fn active(&self, gauge: impl FnOnce() -> Gauge) -> &Gauge {
        self.active.get_or_init(gauge)
    }

    /// Takes down one answer; `histogram` finds the registered histogram of an outcome that is new here.
    pub(super) fn observe(&self, outcome: K, seconds: f64, histogram: impl FnOnce() -> Histogram) {
        let durations = self.durations.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, duration)) = durations.iter().find(|(known, _)| *known == outcome) {
            return duration.observe(seconds);
        }
        drop(durations);
        let duration = histogram();
        duration.observe(seconds);
        // Twice the same outcome, from two threads, would be the same histogram.
        self.durations.write().unwrap_or_else(PoisonError::into_inner).push((outcome, duration));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_bound_are_all_one() {
        let outcomes = Outcomes::<u8>::new();
        for number in 0..2 * Outcomes::<u8>::MOST {
            let named = outcomes.get_or_learn(&number.to_string());
            let known = number < Outcomes::<u8>::MOST;
            assert_eq!(&*named.name, if known { number.to_string() } else { "_OTHER".to_owned() });
        }
        assert_eq!(&*outcomes.get("0").name, "0");
    }

    #[test]
    fn the_histogram_of_an_outcome_is_looked_for_once() {
        let outcomes = Outcomes::new();
        let mut looked_for = Vec::new();
        for outcome in [200_u16, 404, 200, 404] {
            outcomes.get_or_learn("/users").observe(outcome, 0.5, || {
                looked_for.push(outcome);
                Histogram::new([1.0])
            });
        }
        assert_eq!(looked_for, [200, 404]);
    }
}
