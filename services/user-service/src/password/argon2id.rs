//! The computation itself, which keeps a thread busy.

use argon2::password_hash::phc::{Output, PasswordHash as Phc};
use argon2::{Algorithm, Argon2, Params, Version};

use super::memory::Memories;
use super::{Argon2Error, Cost, HashError, PasswordHash, Verdict};

/// The length that RFC 9106 recommends (section 3.1).
pub(super) type Salt = [u8; 16];

/// Computes with Argon2 and counts what it has cost.
pub(super) struct Worker<'a> {
    memories: &'a Memories,
    work: u64,
}

impl<'a> Worker<'a> {
    /// One that has done nothing yet.
    pub(super) fn new(memories: &'a Memories) -> Self {
        Self { memories, work: 0 }
    }

    /// All it has done, in the unit of [`Cost::work`].
    #[cfg(test)]
    pub(super) fn work(&self) -> u64 {
        self.work
    }

    /// The hash of `password` at `cost`.
    pub(super) fn hash(
        &mut self,
        cost: Cost,
        password: &[u8],
        salt: Salt,
    ) -> Result<PasswordHash, HashError> {
        let hasher = cost.hasher()?;
        let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
        self.compute(&hasher, password, &salt, &mut output)?;
        told(&hasher, salt, &output)
    }

    /// Whether `password` is the one that was hashed, and whether its hash is to be one of `cost` from now on.
    pub(super) fn verify(
        &mut self,
        cost: Cost,
        password: &[u8],
        stored: &Stored,
        salt: Salt,
    ) -> Result<Verdict, HashError> {
        let mut output = vec![0; stored.output.len()];
        self.compute(&stored.hasher, password, &stored.salt, &mut output)?;
        // `Output` compares in constant time.
        if Output::new(&output).map_err(Argon2Error::from)? != stored.output {
            return Ok(Verdict::Wrong);
        }
        if cost.is_above(stored.cost()) {
            return self.hash(cost, password, salt).map(Verdict::RightAndRenewed);
        }
        Ok(Verdict::Right)
    }

    /// Works on for no result, until all together has cost as much as one hash at `cost`.
    pub(super) fn make_up(&mut self, cost: Cost, password: &[u8], salt: Salt) -> Result<(), HashError> {
        match cost.part(cost.work().saturating_sub(self.work)) {
            Some(rest) => self.hash(rest, password, salt).map(drop),
            None => Ok(()),
        }
    }

    fn compute(
        &mut self,
        hasher: &Argon2<'_>,
        password: &[u8],
        salt: &[u8],
        output: &mut [u8],
    ) -> Result<(), HashError> {
        let memory = self.memories.take(hasher.params().block_count());
        let mut memory = memory.map_err(|error| HashError::Memory(error.kind()))?;
        let computed = hasher.hash_password_into_with_memory(password, salt, output, &mut memory);
        self.memories.give_back(memory);
        computed.map_err(Argon2Error::from)?;
        self.work += Cost::of(hasher.params()).work();
        Ok(())
    }
}

/// What is checked where there is no hash, by the very same steps: each of them takes its time, and what has been read
/// lately is quicker to read.
#[derive(Clone)]
pub(super) struct Decoy {
    pub(super) cost: Cost,
    pub(super) hash: PasswordHash,
}

impl Decoy {
    /// One that costs `cost` to check.
    pub(super) fn new(cost: Cost, salt: Salt) -> Result<Self, HashError> {
        // Nobody knows a password that has this output, and none would be let in by it.
        let hash = told(&cost.hasher()?, salt, &[0; Params::DEFAULT_OUTPUT_LEN])?;
        Ok(Self { cost, hash })
    }
}

/// A hash as it is stored.
fn told(hasher: &Argon2<'_>, salt: Salt, output: &[u8]) -> Result<PasswordHash, HashError> {
    let phc = Phc {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: hasher.params().try_into()?,
        salt: Some(salt.as_slice().try_into().map_err(Argon2Error::from)?),
        hash: Some(Output::new(output).map_err(Argon2Error::from)?),
    };
    Ok(PasswordHash(phc.to_string()))
}

/// What a stored hash says.
pub(super) struct Stored {
    hasher: Argon2<'static>,
    salt: Vec<u8>,
    output: Output,
}

impl Stored {
    pub(super) fn read(hash: &PasswordHash) -> Result<Self, Argon2Error> {
        let phc = Phc::new(hash.as_str())?;
        let algorithm = Algorithm::try_from(phc.algorithm.as_str())?;
        let version = phc.version.map(Version::try_from).transpose()?;
        let hasher = Argon2::new(algorithm, version.unwrap_or_default(), Params::try_from(&phc)?);
        let (Some(salt), Some(output)) = (phc.salt, phc.hash) else {
            return Err(Argon2Error::ParamsInvalid);
        };
        Ok(Self { hasher, salt: salt.to_vec(), output })
    }

    pub(super) fn cost(&self) -> Cost {
        Cost::of(self.hasher.params())
    }
}
