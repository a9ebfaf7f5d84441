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

/// Waits for `answer` until `deadline`, or until the instance is silent and it `may_leave`.
pub(crate) async fn wait<T, C: Connections>(
    answer: impl Future<Output = T>,
    deadline: Deadline,
    sending: &Sending<C>,
    mut may_leave: impl FnMut() -> bool,
) -> Waited<T> {
    let mut answer = pin!(answer);
    loop {
        if let Ok(answer) = deadline.at_most(SILENCE).bound(&mut answer).await {
            return Waited::For(answer);
        }
        if deadline.has_passed() {
            return Waited::TooLong;
        }
        if sending.instance.heard.nothing_since(sending.began()) && may_leave() {
            return Waited::InVain;
        }
    }
}
