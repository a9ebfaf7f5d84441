//! What came of somebody else's failure: a service that could not do what it was asked for because another could not has
//! tried that again where it is known best. Whoever asked it must not try again in turn, or the attempts would multiply
//! with each hop ("Addressing Cascading Failures" in Google's "Site Reliability Engineering").

use std::cell::Cell;
use std::future::Future;

use http::{HeaderMap, HeaderName, HeaderValue};

/// Where it is told, between our services alone.
const HEADER: HeaderName = HeaderName::from_static("flotilla-retry");
const NEVER: HeaderValue = HeaderValue::from_static("never");
const SAFE: HeaderValue = HeaderValue::from_static("safe");

/// What became of the calls that a request's answer needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// There were any, of which the outcome is known.
    pub made: bool,
    /// One failed for good, in a way that might have gone better.
    pub failed: bool,
    /// One was refused because its callee had too much to do.
    pub overloaded: bool,
}

/// That there was too much to do; of a call, the status says so.
const OVERLOADED: HeaderName = HeaderName::from_static("flotilla-overloaded");

tokio::task_local! {
    /// Of the request that this task answers.
    static CALLS: Cell<Calls>;
}

/// Awaits `work`, which answers a request, and tells beside its output what became of what it asked of other services.
pub async fn watch_calls<F: Future>(work: F) -> (F::Output, Calls) {
    CALLS
        .scope(Cell::default(), async {
            let output = work.await;
            (output, CALLS.with(Cell::get))
        })
        .await
}

/// Tells whoever gets an answer with `headers` that there is too much to do, so that more of the same is refused, too.
pub fn tell_overload(headers: &mut HeaderMap) {
    headers.insert(OVERLOADED, HeaderValue::from_static("true"));
}

pub(crate) fn tells_overload(headers: &HeaderMap) -> bool {
    headers.contains_key(OVERLOADED)
}

/// Has whoever gets an answer with `headers` not try again.
pub fn forbid_retry(headers: &mut HeaderMap) {
    headers.insert(HEADER, NEVER);
}

/// Tells whoever gets an answer with `headers` that nothing happened. A 503 alone does not: what stands between two services
/// says it, too, when it has lost what it passed on.
pub fn allow_retry(headers: &mut HeaderMap) {
    headers.insert(HEADER, SAFE);
}

pub(crate) fn allows_retry(headers: &HeaderMap) -> bool {
    headers.get(HEADER) == Some(&SAFE)
}

/// Whether whoever gets an answer with `headers` must not try again.
pub fn forbids_retry(headers: &HeaderMap) -> bool {
    headers.get(HEADER) == Some(&NEVER)
}

/// A call has ended; whether it has failed, with no attempt left.
pub(crate) fn note_end(has_failed: bool) {
    note(|calls| (calls.made, calls.failed) = (true, calls.failed || has_failed));
}

/// A callee has too much to do.
pub(crate) fn note_overload() {
    note(|calls| calls.overloaded = true);
}

/// Where no request is being answered, nobody need know.
fn note(change: impl FnOnce(&mut Calls)) {
    let note = |noted: &Cell<Calls>| {
        let mut calls = noted.get();
        change(&mut calls);
        noted.set(calls);
    };
    CALLS.try_with(note).unwrap_or_default();
}
