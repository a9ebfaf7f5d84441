//! The published keys.

use std::collections::BTreeMap;

use crate::history::{Answer, Call, Circumstances, Micros, Request};

/// How long after a new key was acknowledged an instance may not publish it yet, while nothing is wrong.
pub const PUBLISHED_WITHIN: Micros = 12_000_000;

/// The answers that lack a key which must be published: no token of a run is so old that it has expired, and a new
/// key is published before it signs.
pub(super) fn contradictions(calls: &[Call], circumstances: &Circumstances) -> Vec<String> {
    let (mut signed, mut made) = (BTreeMap::new(), BTreeMap::new());
    for call in calls {
        if let Some(grant) = call.granted() {
            signed.entry(grant.key.as_str()).or_insert(call.ended);
        }
        if let (Request::RotateKeys, Answer::Keys(keys)) = (&call.request, &call.answer) {
            made.extend(keys.iter().map(|key| (key.as_str(), call.ended)));
        }
    }
    let mut found = Vec::new();
    for call in calls {
        let (Request::ShowKeys, Answer::Keys(keys)) = (&call.request, &call.answer) else { continue };
        let lacks = |key: &str| !keys.iter().any(|shown| shown == key);
        let mut signing = signed.iter().filter(|(_, since)| **since < call.started);
        if let Some((key, _)) = signing.find(|(key, _)| lacks(key)) {
            found.push(format!("key {key} signs and is not published: {call}"));
        }
        let is_known = |since| circumstances.were_well(since, call.started, PUBLISHED_WITHIN);
        let mut new = made.iter().filter(|(_, since)| **since < call.started && is_known(**since));
        if let Some((key, _)) = new.find(|(key, _)| lacks(key)) {
            found.push(format!("key {key} was made and is not published: {call}"));
        }
    }
    found
}
