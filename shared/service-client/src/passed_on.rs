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

tokio::task_local! {
    /// Whether a call of the request that this task answers has failed for good.
    static FAILED: Cell<bool>;
}

/// Awaits `work`, which answers a request, and tells beside its output whether anything that it asked of other services
/// failed in a way that might have gone better.
pub async fn watch_calls<F: Future>(work: F) -> (F::Output, bool) {
    FAILED
        .scope(Cell::new(false), async {
            let output = work.await;
            (output, FAILED.with(Cell::get))
        })
        .await
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

/// A call has failed, and no attempt is left. Where no request is being answered, nobody need know.
pub(crate) fn note_failure() {
    // Outside a request there is no such cell.
    FAILED.try_with(|failed| failed.set(true)).unwrap_or_default();
}
