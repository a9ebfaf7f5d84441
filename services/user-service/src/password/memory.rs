use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::Block;
use memmap2::MmapMut;
use runtime::Compute;

/// The memory of one computation. It comes from the operating system and goes back there at the end: the
/// allocator would keep it for as long as the process lives, on each thread that has ever hashed.
pub(super) struct Memory(MmapMut);

impl Memory {
    /// `blocks` of a KiB each.
    fn of(blocks: usize) -> io::Result<Self> {
        let memory = MmapMut::map_anon(blocks * Block::SIZE)?;
        // Of huge pages it takes a tenth of the page faults, and random reads miss the TLB less. It is slower
        // without them and not wrong, so a kernel that has none is not asked twice.
        #[cfg(target_os = "linux")]
        drop(memory.advise(memmap2::Advice::HugePage));
        Ok(Self(memory))
    }

    fn holds(&self, blocks: usize) -> bool {
        self.0.len() >= blocks * Block::SIZE
    }
}

impl AsMut<[Block]> for Memory {
    #[expect(unsafe_code, reason = "the operating system gives bytes and Argon2 takes blocks")]
    fn as_mut(&mut self) -> &mut [Block] {
        // SAFETY: whatever bytes there are make a block, which is 128 numbers and nothing between them.
        let (_, blocks, _) = unsafe { self.0.align_to_mut() };
        blocks
    }
}

/// Where computations get their memory. One that ends leaves its own to those that wait for a slot, since a fresh
/// one takes a fifth more of a processor, and without huge pages two thirds. When nobody waits, nothing is kept.
/// There are at most as many as slots: every computation takes one, if there is one, before it leaves one.
pub(super) struct Memories {
    compute: Compute,
    kept: Mutex<Vec<Memory>>,
}

impl Memories {
    /// For computations on `compute`.
    pub(super) fn new(compute: Compute) -> Self {
        Self { compute, kept: Mutex::default() }
    }

    pub(super) fn take(&self, blocks: usize) -> io::Result<Memory> {
        let kept = self.kept().pop().filter(|memory| memory.holds(blocks));
        kept.map_or_else(|| Memory::of(blocks), Ok)
    }

    pub(super) fn give_back(&self, memory: Memory) {
        self.kept().push(memory);
        self.tidy();
    }

    /// Gives back what nobody waits for any more, be it that one who waited has left.
    pub(super) fn tidy(&self) {
        let mut kept = self.kept();
        let unwanted = if self.compute.waiting() == 0 { std::mem::take(&mut *kept) } else { Vec::new() };
        // Giving it back takes a while, for which nobody has to be kept waiting.
        drop(kept);
        drop(unwanted);
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Memory>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use runtime::Env;

    use super::*;

    #[test]
    fn all_of_it_can_be_worked_in() {
        for count in [8, 4_096, 19_456] {
            let mut memory = Memory::of(count).unwrap();
            assert_eq!(memory.as_mut().len(), count);
            assert!(memory.as_mut().iter().all(|block| block.as_ref().iter().all(|number| *number == 0)));
        }
    }

    #[tokio::test]
    async fn it_is_kept_for_as_long_as_somebody_waits_for_it() {
        let compute = Env::system(1).compute;
        let memories = Memories::new(compute.clone());
        let kept = || memories.kept().len();
        memories.give_back(memories.take(8).unwrap());
        assert_eq!(kept(), 0, "nobody waits");

        let (release, held) = mpsc::channel::<()>();
        let mut running = std::pin::pin!(compute.run(move || held.recv()));
        assert!(futures_util::poll!(&mut running).is_pending());
        let mut waiting = Box::pin(compute.run(|| ()));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        memories.give_back(memories.take(8).unwrap());
        assert_eq!(kept(), 1, "somebody waits");
        let larger = memories.take(16).unwrap();
        assert_eq!((kept(), larger.holds(16)), (0, true), "what is too small is not kept beside it");
        memories.give_back(larger);
        drop(waiting);
        memories.tidy();
        assert_eq!(kept(), 0, "the one who waited has left");
        release.send(()).unwrap();
        running.await.unwrap().unwrap();
    }
}
