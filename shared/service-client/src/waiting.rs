use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use runtime::Deadline;

use crate::instances::{Connections, Sending};

/// What became of waiting for an answer.
pub(crate) enum Waited<T> {
    /// It came.
    For(T),
    /// The instance says nothing to anybody, and the request is better sent elsewhere.
    InVain,
    /// The deadline passed.
    TooLong,
}

/// After this an instance from which nobody has heard anything meanwhile is not waited for without doubt. Whoever works
/// on one thing so long answers others; one that hangs answers nobody.
const SILENCE: Duration = Duration::from_secs(1);

/// Whether this process stood still (stopped, or short of processors) when `until` passed, as its timers come so late.
/// What was not there by then may have come all the time.
pub(crate) fn has_stood_still(until: Deadline) -> bool {
    /// A process that does its work is never late by so much.
    const LATE: Duration = Duration::from_millis(250);
    until.overdue() >= LATE
}

/// Waits for `answer` until `deadline`, or until the instance is silent and it `may_leave`.
pub(crate) async fn wait<T, C: Connections>(
    answer: impl Future<Output = T>,
    deadline: Deadline,
    sending: &Sending<C>,
    mut may_leave: impl FnMut() -> bool,
) -> Waited<T> {
    let mut answer = pin!(answer);
    loop {
        let silence = deadline.at_most(SILENCE);
        if let Ok(answer) = silence.bound(&mut answer).await {
            return Waited::For(answer);
        }
        let stood_still = has_stood_still(silence);
        if stood_still {
            sending.stood_still();
        }
        if deadline.has_passed() {
            return Waited::TooLong;
        }
        if !stood_still && sending.instance.heard.nothing_since(sending.began()) && may_leave() {
            return Waited::InVain;
        }
    }
}
