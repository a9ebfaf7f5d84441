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

    /// Whether Argon2 can compute with it.
    ///
    /// # Errors
    /// [`CostError`].
    pub(crate) fn check(self) -> Result<(), CostError> {
        self.hasher().map(drop)
    }

    pub(super) fn hasher(self) -> Result<Argon2<'static>, CostError> {
        let params = Params::new(self.memory_kib, self.iterations, self.parallelism, None);
        params.map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params)).or(Err(CostError))
    }

    pub(super) fn of(params: &Params) -> Self {
        Self { memory_kib: params.m_cost(), iterations: params.t_cost(), parallelism: params.p_cost() }
    }
}
