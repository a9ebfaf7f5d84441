use std::time::Duration;

/// Between what the limit moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadLimitConfig {
    /// Before anything is known.
    pub first: u32,
    /// The limit never falls below this.
    pub least: u32,
    /// The cap: so many at once of all limits under it, whatever their times say.
    pub most: u32,
    /// Waits that are no longer than this are not worth refusing anyone for.
    pub slack: Duration,
}

impl Default for LoadLimitConfig {
    fn default() -> Self {
        Self {
            // The callers of a quiet service who come at the same moment all get in.
            first: 100,
            // With fewer, a handful of slow calls would keep everyone out.
            least: 4,
            // At 100 KiB for a request and its task, 100 MiB.
            most: 1_000,
            // A turn of the scheduler on a busy machine.
            slack: Duration::from_millis(1),
        }
    }
}
