use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::Endpoint;

/// Whom the last answer left out and who is told of nevertheless, for a while. A registry that was wiped, or has just
/// been started, knows nobody at first and then one after another, as they register again and pass their checks;
/// following that would send to the first of them what is meant for all. Whoever is really gone is found out by the
/// callers' own breakers meanwhile.
#[derive(Default)]
pub(super) struct Missing {
    doubt: Doubt,
    /// Since which answer each of them has been left out.
    since: BTreeMap<Endpoint, Instant>,
}

/// Whether what answers may have forgotten somebody.
#[derive(Clone, Copy, Default)]
enum Doubt {
    /// It goes on as it did.
    #[default]
    None,
    /// The next answer is the first after something went wrong.
    Next,
    /// The first such answer came then.
    Since(Instant),
}

impl Missing {
    /// That some are left out is not believed for so long. Whoever lives is known again within ten seconds of the
    /// registry's return, and has then passed a check.
    pub(super) const SOME_BELIEVED_AFTER: Duration = Duration::from_secs(15);
    /// That all are left out is not believed for so long, also where nothing went wrong before: it is what a registry
    /// says that begins anew unnoticed, and more likely than that all have ended.
    pub(super) const NOBODY_BELIEVED_AFTER: Duration = Duration::from_secs(30);
    /// Nobody is told of for longer than this after he was first left out, whatever goes wrong in between.
    pub(super) const LONGEST: Duration = Duration::from_secs(120);

    /// What answers next may have forgotten everybody.
    pub(super) fn doubt(&mut self) {
        self.doubt = Doubt::Next;
    }

    /// Who of `told` stays although the answer is `found`. An answer without them comes again and again as long as they
    /// are not known, and ends it.
    pub(super) fn kept(
        &mut self,
        told: &[Endpoint],
        found: &BTreeSet<Endpoint>,
        now: Instant,
    ) -> BTreeSet<Endpoint> {
        self.doubt = match self.doubt {
            Doubt::Next => Doubt::Since(now),
            Doubt::None if found.is_empty() && !told.is_empty() => Doubt::Since(now),
            Doubt::Since(since) if now.duration_since(since) >= Self::patience(found) => Doubt::None,
            doubt => doubt,
        };
        if matches!(self.doubt, Doubt::None) {
            self.since.clear();
            return BTreeSet::new();
        }
        let before = std::mem::take(&mut self.since);
        let left_out = told.iter().filter(|endpoint| !found.contains(endpoint));
        self.since = left_out.map(|one| (*one, before.get(one).copied().unwrap_or(now))).collect();
        self.since.retain(|_, since| now.duration_since(*since) < Self::LONGEST);
        self.since.keys().copied().collect()
    }

    fn patience(found: &BTreeSet<Endpoint>) -> Duration {
        if found.is_empty() { Self::NOBODY_BELIEVED_AFTER } else { Self::SOME_BELIEVED_AFTER }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn endpoint(last: u8) -> Endpoint {
        Endpoint { http: ([10, 0, 0, last], 3000).into(), grpc: ([10, 0, 0, last], 50051).into() }
    }

    /// What an answer is, or that there was none.
    fn heard() -> impl Strategy<Value = Option<BTreeSet<u8>>> {
        prop::option::weighted(0.8, prop::collection::btree_set(1..5_u8, 0..4))
    }

    proptest! {
        #[test]
        fn whoever_is_found_is_told_of_and_nobody_for_ever_who_is_not(
            steps in prop::collection::vec((heard(), 1..20_u64), 1..60),
        ) {
            let (mut missing, mut told) = (Missing::default(), BTreeSet::<Endpoint>::new());
            let mut now = Instant::now();
            let mut left_out = BTreeMap::new();
            for (heard, seconds) in steps {
                now += Duration::from_secs(seconds);
                let Some(found) = heard else {
                    missing.doubt();
                    continue;
                };
                let found: BTreeSet<_> = found.into_iter().map(endpoint).collect();
                let before: Vec<_> = told.iter().copied().collect();
                let kept = missing.kept(&before, &found, now);
                prop_assert!(kept.is_disjoint(&found));
                prop_assert!(kept.is_subset(&told));
                left_out.retain(|one, _| kept.contains(one));
                for one in &kept {
                    let since = *left_out.entry(*one).or_insert(now);
                    prop_assert!(now.duration_since(since) < Missing::LONGEST);
                }
                told = found.union(&kept).copied().collect();
            }
        }
    }
}
