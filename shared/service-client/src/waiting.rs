use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, select};
use runtime::Deadline;

use crate::callee::Came;
use crate::instances::{Connections, Sending};

/// What became of waiting for an answer.
pub(crate) enum Waited<T> {
    /// It came.
    For(T),
    /// The instance says nothing to anybody, and another is better asked as well; or that one has answered meanwhile.
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

/// Waits for the `answer` of an instance that has been silent, and for what comes of the `others` that are asked as well:
/// whoever is only slow may answer yet, and a request that was sent again ends no worse for it than one that was not.
/// `first` takes what becomes of the answer.
pub(crate) async fn wait_for_both<A, T>(
    answer: Pin<&mut (impl Future<Output = A> + Send)>,
    others: BoxFuture<'_, Came<T>>,
    deadline: Deadline,
    first: impl FnOnce(Waited<A>) -> Came<T>,
) -> Came<T> {
    match select(answer, others).await {
        Either::Left((answer, others)) => match first(Waited::For(answer)) {
            came if came.is_an_answer() => came,
            _nothing => others.await,
        },
        Either::Right((came, _)) if came.is_an_answer() => {
            first(Waited::InVain);
            came
        }
        Either::Right((came, answer)) => {
            let answer = deadline.bound(answer).await;
            match first(answer.map_or(Waited::TooLong, Waited::For)) {
                late if late.is_an_answer() => late,
                _nothing => came,
            }
        }
    }
}
