//! The computation itself, which keeps a thread busy.

use argon2::password_hash::phc::{Output, PasswordHash as Phc};
use argon2::{Algorithm, Argon2, Params, Version};
use runtime::Random;

use super::memory::Memory;
use super::{Argon2Error, Cost, HashError, PasswordHash, Verdict};

/// The length that RFC 9106 recommends (section 3.1).
pub(super) type Salt = [u8; 16];

pub(super) fn hash(hasher: &Argon2<'_>, password: &[u8], salt: Salt) -> Result<PasswordHash, HashError> {
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    compute(hasher, password, &salt, &mut output)?;
    Ok(phc(hasher, salt, &output)?)
}

/// A hash of no password: only checking against it costs what it costs, making it costs nothing.
pub(super) fn decoy(hasher: &Argon2<'_>, random: &Random) -> Result<PasswordHash, Argon2Error> {
    let output: [u8; Params::DEFAULT_OUTPUT_LEN] = random.bytes();
    phc(hasher, random.bytes(), &output)
}

pub(super) fn verify(
    hasher: &Argon2<'_>,
    password: &[u8],
    stored: Option<&PasswordHash>,
    decoy: &PasswordHash,
    salt: Salt,
) -> Result<Verdict, HashError> {
    let phc = Phc::new(stored.unwrap_or(decoy).as_str()).map_err(Argon2Error::from)?;
    let params = Params::try_from(&phc)?;
    if !is_made_of(&phc, password)? || stored.is_none() {
        return Ok(Verdict::Wrong);
    }
    if Cost::of(&params) == Cost::of(hasher.params()) {
        return Ok(Verdict::Right);
    }
    hash(hasher, password, salt).map(Verdict::RightAndRenewed)
}

/// Whether the hash is one of `password`.
fn is_made_of(phc: &Phc, password: &[u8]) -> Result<bool, HashError> {
    let (Some(salt), Some(expected)) = (&phc.salt, &phc.hash) else {
        return Err(Argon2Error::ParamsInvalid.into());
    };
    let algorithm = Algorithm::try_from(phc.algorithm.as_str())?;
    let version = phc.version.map(Version::try_from).transpose().map_err(Argon2Error::from)?;
    let hasher = Argon2::new(algorithm, version.unwrap_or_default(), Params::try_from(phc)?);
    let mut output = vec![0; expected.len()];
    compute(&hasher, password, salt, &mut output)?;
    // `Output` compares in constant time.
    Ok(Output::new(&output).map_err(Argon2Error::from)? == *expected)
}

fn compute(hasher: &Argon2<'_>, password: &[u8], salt: &[u8], output: &mut [u8]) -> Result<(), HashError> {
    let memory = Memory::of(hasher.params().block_count());
    let mut memory = memory.map_err(|error| HashError::Memory(error.kind()))?;
    let computed = hasher.hash_password_into_with_memory(password, salt, output, &mut memory);
    computed.map_err(|error| HashError::Argon2(error.into()))
}

fn phc(hasher: &Argon2<'_>, salt: Salt, output: &[u8]) -> Result<PasswordHash, Argon2Error> {
    let phc = Phc {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: hasher.params().try_into()?,
        salt: Some(salt.as_slice().try_into()?),
        hash: Some(Output::new(output)?),
    };
    Ok(PasswordHash(phc.to_string()))
}
