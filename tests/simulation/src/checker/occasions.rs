//! How often a history put a rule to the test: a rule that nothing could have broken was not checked.

use std::collections::BTreeMap;

use crate::history::{Answer, Call, History, Refusal};

use super::gate::{Gate, Void};
use super::outbound::Requests;
use super::sessions::Sessions;

/// All that is counted.
pub const OCCASIONS: [&str; 27] = [
    "register",
    "log in",
    "refresh",
    "log out",
    "list sessions",
    "end session",
    "change password",
    "show me",
    "change me",
    "delete me",
    "show user",
    "show keys",
    "change role",
    "rotate keys",
    "refused after the end of the session",
    "refused after a change of role",
    "refused without a key",
    "tokens by a new key",
    "answer lost and asked for again",
    "no tokens of an ended session",
    "request between services",
    "attempt repeated",
    "doubtful request not repeated",
    "silent instance left",
    "breaker opened",
    "breaker closed again",
    "trial failed",
];

/// What was asked and acknowledged, and what was rightly refused, by each kind of [`OCCASIONS`].
pub fn occasions(history: &History) -> BTreeMap<&'static str, u32> {
    let (calls, circumstances) = (history.calls(), history.circumstances());
    let sessions = Sessions::from(calls);
    let gate = Gate::new(calls, &sessions, circumstances);
    let mut counts = BTreeMap::from(OCCASIONS.map(|kind| (kind, 0)));
    let mut count = |kind, times| *counts.get_mut(kind).expect("all kinds are among them") += times;
    for call in calls {
        if call.is_acknowledged() {
            count(call.request.kind(), 1);
        }
        count_refusal(call, &gate, &mut count);
        let is_keyless = call.request.with().is_some() && call.answer == Answer::NotNow;
        if is_keyless && circumstances.are_keyless(call.started, call.ended) {
            count("refused without a key", 1);
        }
    }
    count("tokens by a new key", by_new_keys(calls));
    count("answer lost and asked for again", sessions.repeated());
    count("no tokens of an ended session", sessions.refused());
    Requests::from(history.sights()).count(&mut count);
    counts
}

/// How many tokens were signed by another key than the first.
fn by_new_keys(calls: &[Call]) -> u32 {
    let mut keys = calls.iter().filter_map(Call::granted).map(|grant| &grant.key);
    let first = keys.next();
    u32::try_from(keys.filter(|key| first.is_some_and(|first| first != *key)).count()).unwrap_or(u32::MAX)
}

fn count_refusal(call: &Call, gate: &Gate<'_>, count: &mut impl FnMut(&'static str, u32)) {
    let Some(with) = call.request.with() else { return };
    if call.answer != Answer::Refused(Refusal::Unauthenticated) {
        return;
    }
    match gate.void(call, with) {
        Some(Void::Ended) => count("refused after the end of the session", 1),
        Some(Void::OldRole) => count("refused after a change of role", 1),
        None => {}
    }
}
