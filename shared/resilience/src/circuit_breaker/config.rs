use std::num::NonZeroU32;
use std::time::Duration;

use crate::Percent;

/// When a circuit breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// So many failures without a success between them open it.
    pub failures_in_a_row: NonZeroU32,
    /// How far back the rate of failures looks. It goes by tenths of this.
    pub window: Duration,
    /// With fewer calls than this in the window, their rate opens nothing.
    pub least_calls: u32,
    /// Such a share of failed calls in the window opens it.
    pub failure_rate: Percent,
    /// From the opening to the next trial; less than a day.
    pub pause: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            // Five independent mishaps in a row are rarer than a callee that is gone.
            failures_in_a_row: const { NonZeroU32::new(5).expect("it is not zero") },
            window: Duration::from_secs(10),
            // Of fewer, half may fail by chance.
            least_calls: 20,
            // A callee that fails every second time does more harm than good.
            failure_rate: Percent::new(50),
            // A callee that is back is used within a second.
            pause: Duration::from_secs(1),
        }
    }
}
