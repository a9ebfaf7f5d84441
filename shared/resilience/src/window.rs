use std::time::Duration;

use tokio::time::Instant;

/// What was counted lately: the past is cut into slots of equal length, of which the latest `N` are kept. A slot that
/// is taken again has forgotten what was counted in it before.
#[derive(Debug)]
pub(crate) struct Window<T, const N: usize> {
    origin: Instant,
    /// The length of a slot, in nanoseconds.
    length: u64,
    /// The number of the slot that is under way, counted from the origin.
    now: u64,
    slots: [(u64, T); N],
}

impl<T: Copy + Default, const N: usize> Window<T, N> {
    /// Of slots that are `length` long.
    pub(crate) fn new(length: Duration) -> Self {
        let length = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX).max(1);
        Self { origin: Instant::now(), length, now: 0, slots: [(0, T::default()); N] }
    }

    /// What is counted at this moment.
    pub(crate) fn current(&mut self) -> &mut T {
        // In nanoseconds, of which there are enough for centuries.
        self.now = self.origin.elapsed().as_nanos() as u64 / self.length;
        let (slot, counted) = &mut self.slots[(self.now % N as u64) as usize];
        if *slot != self.now {
            (*slot, *counted) = (self.now, T::default());
        }
        counted
    }

    /// What was counted in the latest `slots`, the one of the last [`Self::current`] among them.
    pub(crate) fn latest(&self, slots: u64) -> impl Iterator<Item = &T> {
        self.slots.iter().filter(move |(slot, _)| slot + slots > self.now).map(|(_, counted)| counted)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.slots = [(0, T::default()); N];
    }
}
