use std::time::Duration;

use tokio::time::Instant;

/// What was counted lately: the past is cut into slots of equal length, of which the latest `N` are kept. A slot that
/// is taken again has forgotten what was counted in it before.
#[derive(Debug)]
pub(crate) struct Window<T, const N: usize> {
    length: Duration,
    /// The number of the slot that is under way.
    now: u64,
    /// When it is over. Until then nothing has to be divided, which is dearer than all the rest.
    over: Instant,
    slots: [(u64, T); N],
}

impl<T: Copy + Default, const N: usize> Window<T, N> {
    /// Of slots that are `length` long.
    pub(crate) fn new(length: Duration) -> Self {
        // A year is as good as for ever, and is no more than the clock can hold.
        const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        let length = length.clamp(Duration::from_nanos(1), LONGEST);
        Self { length, now: 0, over: Instant::now() + length, slots: [(0, T::default()); N] }
    }

    /// What is counted at this moment.
    pub(crate) fn current(&mut self) -> &mut T {
        let now = Instant::now();
        if now >= self.over {
            self.turn(now);
        }
        let (slot, counted) = &mut self.slots[(self.now % N as u64) as usize];
        if *slot != self.now {
            (*slot, *counted) = (self.now, T::default());
        }
        counted
    }

    fn turn(&mut self, now: Instant) {
        // In nanoseconds, of which there are enough for centuries.
        let (since, length) = ((now - self.over).as_nanos() as u64, self.length.as_nanos() as u64);
        self.now += 1 + since / length;
        self.over = now + Duration::from_nanos(length - since % length);
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
