use argon2::{Algorithm, Argon2, Params, Version};

/// What Argon2id costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory of one computation, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

/// The parameters do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Argon2 cannot compute with these parameters: memory must be at least 8 KiB per lane")]
pub(crate) struct CostError;

impl Cost {
    /// OWASP's first choice: 19 MiB, two passes, one lane (Password Storage Cheat Sheet).
    pub const OWASP: Self = Self { memory_kib: 19_456, iterations: 2, parallelism: 1 };

    /// What OWASP takes for as good: memory in KiB, and passes.
    const AS_GOOD: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];

    /// Whether Argon2 can compute with it.
    ///
    /// # Errors
    /// [`CostError`].
    pub(crate) fn check(self) -> Result<(), CostError> {
        self.hasher().map(drop)
    }

    /// Whether it is at least what OWASP asks for.
    pub(crate) fn is_enough(self) -> bool {
        let reaches = |(memory, passes)| self.memory_kib >= memory && self.iterations >= passes;
        Self::AS_GOOD.into_iter().any(reaches)
    }

    /// How much is computed, in KiB that are filled: what an attacker has to do for each guess, and the time it takes.
    pub(super) fn work(self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.iterations)
    }

    /// Whether it is harder on an attacker than `other` and in no respect easier: less memory is, however many
    /// passes are made over it.
    pub(super) fn is_above(self, other: Self) -> bool {
        self.work() > other.work() && self.memory_kib >= other.memory_kib
    }

    /// The same with as much less memory as makes it `work`; nothing where that is too little to compute with.
    pub(super) fn part(self, work: u64) -> Option<Self> {
        let memory_kib = u32::try_from(work / u64::from(self.iterations)).ok()?;
        let part = Self { memory_kib, ..self };
        part.check().is_ok().then_some(part)
    }

    pub(super) fn hasher(self) -> Result<Argon2<'static>, CostError> {
        let params = Params::new(self.memory_kib, self.iterations, self.parallelism, None);
        params.map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params)).or(Err(CostError))
    }

    pub(super) fn of(params: &Params) -> Self {
        Self { memory_kib: params.m_cost(), iterations: params.t_cost(), parallelism: params.p_cost() }
    }
}
