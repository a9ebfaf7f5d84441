//! Whether a run tried enough for its silence to mean something.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::faults::WORK;

/// Requests of all kinds, half of what the poorest of many seeds gets.
const LEAST_ACKNOWLEDGED: usize = 200;

/// Faults that took effect, half of what the poorest of many seeds has.
const LEAST_FAULTS: u32 = 5;

/// Of all that there are.
const LEAST_KINDS: usize = 3;

/// How often each call must have been acknowledged and each rule put to the test, half as often as in the poorest of
/// many seeds.
pub(crate) const LEAST: [(&str, u32); 1] = [("log in", 1)];

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
            && kinds >= LEAST_KINDS;
        (!is_enough).then(|| {
            format!("vacuous: {simulated:?}, {acknowledged} acknowledged, {count} faults of {kinds} kinds")
        })
    }

    fn untested(&self) -> Option<String> {
        let count = |kind| self.occasions.get(kind).copied().unwrap_or_default();
        let poor = LEAST.iter().filter(|(kind, least)| count(*kind) < *least);
        let poor: Vec<_> = poor.map(|(kind, _)| format!("{} x {kind}", count(*kind))).collect();
        (!poor.is_empty()).then(|| format!("vacuous: {}", poor.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULTS: [(&str, u32); LEAST_KINDS] = [("kill", LEAST_FAULTS - 2), ("hold", 1), ("latency", 1)];

    fn complaints(
        (simulated, acknowledged): (Duration, usize),
        faults: &[(&'static str, u32)],
        occasions: &[(&'static str, u32)],
    ) -> Vec<String> {
        let (faults, occasions) = (&faults.iter().copied().collect(), &occasions.iter().copied().collect());
        Tried { simulated, acknowledged, faults, occasions }.complaints()
    }

    #[test]
    fn a_run_that_tried_too_little_fails() {
        const ENOUGH: (Duration, usize) = (WORK, LEAST_ACKNOWLEDGED);
        assert_eq!(complaints(ENOUGH, &FAULTS, &LEAST), Vec::<String>::new());
        let fewer = [("kill", LEAST_FAULTS - 3), FAULTS[1], FAULTS[2]];
        let too_little = [
            complaints((WORK, LEAST_ACKNOWLEDGED - 1), &FAULTS, &LEAST),
            complaints((WORK - Duration::from_secs(1), LEAST_ACKNOWLEDGED), &FAULTS, &LEAST),
            complaints(ENOUGH, &[("kill", LEAST_FAULTS)], &LEAST),
            complaints(ENOUGH, &fewer, &LEAST),
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
