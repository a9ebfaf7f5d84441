use std::fmt;
use std::sync::Arc;

use types::Timestamp;

/// The wall clock: what time it is for people, certificates and rows. It may jump; measure durations with
/// `tokio::time::Instant` instead.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::reading(|| {
            #[expect(clippy::disallowed_methods, reason = "this is the seam that everyone else must use")]
            let since_epoch = std::time::SystemTime::now()
                .duration_since(std::time::SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
            Timestamp::default().after(since_epoch)
        })
    }

    /// A clock that starts at `epoch` and goes on with tokio's, so that a test which pauses one pauses both.
    pub fn from_tokio(epoch: Timestamp) -> Self {
        let origin = tokio::time::Instant::now();
        Self::reading(move || epoch.after(origin.elapsed()))
    }

    /// A clock that is read by calling `source`.
    pub fn reading(source: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// The time now, to the microsecond.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_from_tokio_moves_with_the_paused_clock_alone() {
        let clock = Clock::from_tokio(Timestamp::from_micros(5));
        assert_eq!(clock.now(), Timestamp::from_micros(5));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(clock.now(), Timestamp::from_micros(2_000_005));
    }
}
