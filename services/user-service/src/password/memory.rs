use std::io;

use argon2::Block;
use memmap2::MmapMut;

/// The memory of one computation. It comes from the operating system and goes back there at the end: the
/// allocator would keep it for as long as the process lives, on each thread that has ever hashed.
pub(super) struct Memory(MmapMut);

impl Memory {
    /// `blocks` of a KiB each.
    pub(super) fn of(blocks: usize) -> io::Result<Self> {
        let memory = MmapMut::map_anon(blocks * Block::SIZE)?;
        // Of huge pages it takes a tenth of the page faults, and random reads miss the TLB less. It is slower
        // without them and not wrong, so a kernel that has none is not asked twice.
        #[cfg(target_os = "linux")]
        drop(memory.advise(memmap2::Advice::HugePage));
        Ok(Self(memory))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_can_be_worked_in() {
        for count in [8, 4_096, 19_456] {
            let mut memory = Memory::of(count).unwrap();
            assert_eq!(memory.as_mut().len(), count);
            assert!(memory.as_mut().iter().all(|block| block.as_ref().iter().all(|number| *number == 0)));
        }
    }
}
