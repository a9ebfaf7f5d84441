use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::error::Elapsed;

/// The moment by which an answer is worth having. It travels with a request and only ever shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// `budget` from now.
    pub fn within(budget: Duration) -> Self {
        /// Beyond any budget in use, and small enough never to overflow the clock.
        const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
        Self(Instant::now() + budget.min(LONGEST))
    }

    /// What is left of it; zero when it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// How long ago it passed; zero as long as it has not.
    pub fn overdue(self) -> Duration {
        Instant::now().saturating_duration_since(self.0)
    }

    /// The earlier of this and `budget` from now.
    #[must_use]
    pub fn at_most(self, budget: Duration) -> Self {
        self.min(Self::within(budget))
    }

    /// Runs `work` until the deadline.
    ///
    /// # Errors
    /// `Elapsed` when the deadline passed first; `work` is dropped then.
    pub async fn bound<F: Future>(self, work: F) -> Result<F::Output, Elapsed> {
        let mut work = pin!(work);
        // What is ready needs no timer, which costs more than asking first.
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
            return Ok(output);
        }
        tokio::time::timeout_at(self.0, work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_shrinks_and_never_grows() {
        let deadline = Deadline::within(Duration::from_secs(3));
        assert_eq!(
            (deadline.at_most(Duration::from_secs(9)), deadline.overdue()),
            (deadline, Duration::ZERO)
        );
        assert_eq!(deadline.at_most(Duration::from_secs(1)).remaining(), Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(deadline.has_passed());
        assert_eq!((deadline.remaining(), deadline.overdue()), (Duration::ZERO, Duration::from_secs(1)));
        assert!(deadline.bound(std::future::pending::<()>()).await.is_err());
    }
}
