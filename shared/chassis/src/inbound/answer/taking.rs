//! Whether a client takes the answer that it asked for.
//!
//! An HTTP/2 client decides by its windows when an answer may go on, and hyper waits for them without bound, so that
//! a client which opens none would keep answers in memory for ever. Only the answer knows whether it waits for its
//! handler or for the client, and only the stream's task can end it: they share a note in that task.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

tokio::task_local! {
    /// Since when the client could have asked for more of this task's answer; nothing while the handler is awaited.
    static OFFERED: Cell<Option<Instant>>;
}

/// Part of the answer is ready, and the next move is the client's.
pub(super) fn offered() {
    note(Some(Instant::now()));
}

/// The next move is the handler's.
pub(super) fn awaited() {
    note(None);
}

/// HTTP/1 has no such task: there the wire is where a client is waited for.
fn note(offered: Option<Instant>) {
    OFFERED.try_with(|since| since.set(offered)).unwrap_or_default();
}

/// Runs a stream to its end, unless its client takes nothing of the answer for as long as `patience`; whether it came
/// to its end.
pub(crate) async fn patient(stream: impl Future<Output = ()>, patience: Duration) -> bool {
    OFFERED.scope(Cell::new(None), watched(stream, patience)).await
}

async fn watched(stream: impl Future<Output = ()>, patience: Duration) -> bool {
    let mut stream = pin!(stream);
    let mut due: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        let Some(offered) = OFFERED.with(Cell::get) else {
            due = None;
            return Poll::Pending;
        };
        let until = offered + patience;
        let due = due.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if due.deadline() != until {
            due.as_mut().reset(until);
        }
        ready!(due.as_mut().poll(cx));
        Poll::Ready(false)
    })
    .await
}
