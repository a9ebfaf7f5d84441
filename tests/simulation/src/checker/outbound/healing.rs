use resilience::BreakerConfig;

use super::{Requests, micros};
use crate::history::{Ailing, History, Micros};

/// Once everything has recovered, an instance is left out for so long at most where there are requests: one pause, after
/// which one request for each instance at most finds out that it is back, over a new connection, some six trips.
pub const HEALED_WITHIN: Micros = 2_000_000;

/// The instances that were left out long after they were well again.
pub(super) fn left_out(requests: &Requests<'_>, history: &History) -> Vec<String> {
    let left_out = history.all_ailing().iter().filter(|ailing| {
        let since = history.circumstances().well_since(ailing.at);
        since.is_some_and(|since| should_be_back(requests, ailing, since))
    });
    left_out.map(|ailing| format!("an instance that is well is left out: {ailing}")).collect()
}

/// Whether enough requests began after the pause, and long enough ago, to find out.
fn should_be_back(requests: &Requests<'_>, ailing: &Ailing, since: Micros) -> bool {
    let pause = micros(BreakerConfig::default().pause);
    let time_for_trials = since + pause..(ailing.at + pause).saturating_sub(HEALED_WITHIN);
    let begun = requests.0.get(&ailing.edge).into_iter().flatten().map(|request| request.began);
    begun.filter(|began| time_for_trials.contains(began)).count() >= ailing.instances
}
