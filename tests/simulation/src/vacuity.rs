//! Whether a run tried enough for its silence to mean something.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::faults::{SLOW, WORK};

/// Requests of all kinds, half of what the poorest of many seeds gets.
const LEAST_ACKNOWLEDGED: usize = 1_355;

/// Faults that took effect, half of what the poorest of many seeds has.
const LEAST_FAULTS: u32 = 30;

/// Kinds of faults, half of what the poorest of many seeds has.
const LEAST_KINDS: usize = 5;

/// How often each call must have been acknowledged and each rule put to the test, half as often as in the poorest of
/// many seeds.
pub(crate) const LEAST: [(&str, u32); 22] = [
    ("register", 10),
    ("log in", 48),
    ("refresh", 68),
    ("log out", 10),
    ("list sessions", 14),
    ("end session", 5),
    ("change password", 8),
    ("show me", 45),
    ("change me", 5),
    ("delete me", 1),
    ("show user", 4),
    ("show keys", 11),
    ("change role", 42),
    ("rotate keys", 1),
    ("tokens by a new key", 29),
    ("answer lost and asked for again", 23),
    ("no tokens of an ended session", 36),
    ("request between services", 1_379),
    ("attempt repeated", 23),
    ("doubtful request not repeated", 3),
    ("silent instance left", 16),
    ("breaker opened", 3),
];

/// The same for what some seeds never come to: as often as this in [`SOME`] seeds together, half as often as in the
/// poorest of many such rows.
pub(crate) const LEAST_TOGETHER: [(&str, u32); 5] = [
    ("refused after the end of the session", 369),
    ("refused after a change of role", 1),
    ("refused without a key", 15),
    ("breaker closed again", 92),
    ("trial failed", 244),
];

/// How many seeds are a row.
pub(crate) const SOME: usize = 20;

/// What a run did.
pub(crate) struct Tried<'a> {
    /// For how long, to those inside.
    pub(crate) simulated: Duration,
    /// How many requests were acknowledged.
    pub(crate) acknowledged: usize,
    /// How often each kind of fault took effect.
    pub(crate) faults: &'a BTreeMap<&'static str, u32>,
    /// How often each kind of call was acknowledged, and each rule put to the test.
    pub(crate) occasions: &'a BTreeMap<&'static str, u32>,
}

impl Tried<'_> {
    /// Why the run proves nothing, if it does not.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.too_little().into_iter().chain(self.untested()).collect()
    }

    fn too_little(&self) -> Option<String> {
        let Self { simulated, acknowledged, faults, .. } = self;
        let (count, kinds) = (faults.values().sum::<u32>(), faults.len());
        let is_enough = *simulated >= WORK
            && *acknowledged >= LEAST_ACKNOWLEDGED
            && count >= LEAST_FAULTS
            && kinds >= LEAST_KINDS
            // The one kind by which calls time out over sound connections.
            && faults.contains_key(SLOW);
        (!is_enough).then(|| {
            format!("vacuous: {simulated:?}, {acknowledged} acknowledged, {count} faults of {kinds} kinds")
        })
    }

    fn untested(&self) -> Option<String> {
        poor(&LEAST, |kind| self.occasions.get(kind).copied())
    }
}

/// Why `seeds`, each of them run `times`, prove nothing together, if they do not. `occasions` are those of all runs.
pub(crate) fn untested_together(
    seeds: usize,
    times: usize,
    occasions: &BTreeMap<String, u32>,
) -> Option<String> {
    let rows = u32::try_from(seeds / SOME * times).unwrap_or(u32::MAX);
    let least = LEAST_TOGETHER.map(|(kind, least)| (kind, least.saturating_mul(rows)));
    poor(&least, |kind| occasions.get(kind).copied())
}

/// What was done less often than the `least` says.
fn poor(least: &[(&str, u32)], count: impl Fn(&str) -> Option<u32>) -> Option<String> {
    let counts = least.iter().map(|&(kind, least)| (kind, least, count(kind).unwrap_or_default()));
    let poor = counts.filter(|(_, least, count)| count < least);
    let poor: Vec<_> = poor.map(|(kind, _, count)| format!("{count} x {kind}")).collect();
    (!poor.is_empty()).then(|| format!("vacuous: {}", poor.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::OCCASIONS;

    const FAULTS: [(&str, u32); LEAST_KINDS] =
        [("kill", LEAST_FAULTS - 4), ("hold", 1), ("latency", 1), ("power loss", 1), (SLOW, 1)];

    fn complaints(
        (simulated, acknowledged): (Duration, usize),
        faults: &[(&'static str, u32)],
        occasions: &[(&'static str, u32)],
    ) -> Vec<String> {
        let (faults, occasions) = (&faults.iter().copied().collect(), &occasions.iter().copied().collect());
        Tried { simulated, acknowledged, faults, occasions }.complaints()
    }

    #[test]
    fn each_kind_is_asked_for_of_a_seed_or_of_many_together() {
        let kinds = LEAST.iter().chain(&LEAST_TOGETHER).map(|(kind, _)| *kind);
        let mut kinds: Vec<_> = kinds.collect();
        let mut all = OCCASIONS.to_vec();
        kinds.sort_unstable();
        all.sort_unstable();
        assert_eq!(kinds, all);
        assert!(LEAST.iter().chain(&LEAST_TOGETHER).all(|(_, least)| *least > 0));
    }

    #[test]
    fn a_run_that_tried_too_little_fails() {
        const ENOUGH: (Duration, usize) = (WORK, LEAST_ACKNOWLEDGED);
        assert_eq!(complaints(ENOUGH, &FAULTS, &LEAST), Vec::<String>::new());
        let mut fewer = FAULTS;
        fewer[0].1 -= 1;
        let mut none_slow = FAULTS;
        none_slow[4].0 = "partition";
        let too_little = [
            complaints((WORK, LEAST_ACKNOWLEDGED - 1), &FAULTS, &LEAST),
            complaints((WORK - Duration::from_secs(1), LEAST_ACKNOWLEDGED), &FAULTS, &LEAST),
            complaints(ENOUGH, &[("kill", LEAST_FAULTS - 3), FAULTS[1], FAULTS[2], FAULTS[3]], &LEAST),
            complaints(ENOUGH, &fewer, &LEAST),
            complaints(ENOUGH, &none_slow, &LEAST),
        ];
        for complaints in too_little {
            assert!(matches!(&complaints[..], [only] if only.starts_with("vacuous: ")), "{complaints:?}");
        }
        for (kind, least) in LEAST {
            let mut occasions = LEAST;
            occasions.iter_mut().filter(|it| it.0 == kind).for_each(|it| it.1 -= 1);
            assert_eq!(complaints(ENOUGH, &FAULTS, &occasions), [format!("vacuous: {} x {kind}", least - 1)]);
        }
    }
}
