/// From 1 to 100 of a hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// `percent` of a hundred.
    ///
    /// # Panics
    /// It is not from 1 to 100.
    #[expect(clippy::panic, reason = "a percentage stands in the code or has passed the settings' ranges")]
    pub const fn new(percent: u8) -> Self {
        if percent == 0 || percent > 100 {
            panic!("a percentage is from 1 to 100");
        }
        Self(percent)
    }

    /// So many of a hundred.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// So much of `whole`, rounded down.
    pub const fn of(self, whole: u64) -> u64 {
        whole * self.0 as u64 / 100
    }

    /// Whether `part` is as much of `whole` or more.
    pub(crate) const fn is_reached(self, part: u64, whole: u64) -> bool {
        part * 100 >= whole * self.0 as u64
    }
}
