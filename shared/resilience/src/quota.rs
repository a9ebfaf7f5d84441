use std::num::NonZeroU32;
use std::time::Duration;

/// How much is allowed: so many at once, and one more after each interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    burst: u64,
    interval: u64,
}

impl Quota {
    /// The longest that a burst takes to come back: beyond that, nobody would live to see it.
    const LONGEST: u128 = Duration::from_secs(365 * 24 * 60 * 60).as_nanos();

    /// `burst` at once, and one more after each `interval`.
    ///
    /// # Panics
    /// The interval is zero, or the burst takes more than a year to come back.
    #[expect(clippy::panic, reason = "a quota stands in the code or has passed the settings' ranges")]
    pub const fn new(burst: NonZeroU32, interval: Duration) -> Self {
        let (burst, nanos) = (burst.get() as u64, interval.as_nanos());
        if nanos == 0 || nanos * burst as u128 > Self::LONGEST {
            panic!("a quota's interval is more than zero, and its burst comes back within a year");
        }
        Self { burst, interval: nanos as u64 }
    }

    /// `burst` at once, and `rate` in each second.
    ///
    /// # Panics
    /// As [`Quota::new`].
    pub const fn per_second(rate: NonZeroU32, burst: NonZeroU32) -> Self {
        Self::new(burst, Duration::from_nanos(1_000_000_000 / rate.get() as u64))
    }

    /// What one costs, in nanoseconds.
    pub(crate) const fn interval(self) -> u64 {
        self.interval
    }

    /// How far ahead of time a key may be and still have one more, in nanoseconds.
    pub(crate) const fn tolerance(self) -> u64 {
        self.interval * (self.burst - 1)
    }
}
