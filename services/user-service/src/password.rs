//! How passwords are kept and checked: Argon2id, off the async threads.

mod argon2id;
mod choice;
mod cost;
mod memory;
#[cfg(test)]
mod tests;

use std::{fmt, io};

use argon2::Argon2;
use argon2::password_hash::Error as Argon2Error;
use runtime::{Compute, ComputeError, Deadline, Env, Random};
use secrecy::{ExposeSecret as _, SecretString};
use types::{Classify, ErrorClass};

pub(crate) use self::choice::NewPassword;
pub use self::cost::Cost;
use self::cost::CostError;

/// A password's hash as a PHC string, which names its own parameters and salt. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PasswordHash(String);

impl PasswordHash {
    /// One that was stored.
    pub(crate) fn stored(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string, for storing.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// What a check of a password came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not the password.
    Wrong,
    /// It is.
    Right,
    /// It is, and this hash should take the place of the stored one, which was made at another cost.
    RightAndRenewed(PasswordHash),
}

/// Why a password was neither hashed nor checked; nothing has happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HashError {
    /// Too many are waiting, or the computation panicked.
    #[error("hashing a password")]
    Compute(#[from] ComputeError),
    /// The caller's deadline came first.
    #[error("hashing a password took longer than the caller waits")]
    TooLate,
    /// There was no memory for it.
    #[error("hashing a password: {0}")]
    Memory(io::ErrorKind),
    /// A stored hash is no PHC string of Argon2.
    #[error("hashing a password: {0}")]
    Argon2(Argon2Error),
}

impl From<Argon2Error> for HashError {
    fn from(error: Argon2Error) -> Self {
        Self::Argon2(error)
    }
}

impl Classify for HashError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Compute(ComputeError::Overloaded) | Self::TooLate | Self::Memory(_) => {
                ErrorClass::Unavailable
            }
            Self::Compute(ComputeError::Panicked) | Self::Argon2(_) => ErrorClass::Internal,
        }
    }
}

/// Hashes and checks passwords. Each running computation holds memory of [`Cost::memory_kib`] and gives it back
/// at its end; [`Compute`] bounds how many run.
#[derive(Clone)]
pub(crate) struct Passwords {
    compute: Compute,
    random: Random,
    hasher: Argon2<'static>,
    // What a password is checked against where there is no account, so that this takes the same time.
    decoy: PasswordHash,
}

impl Passwords {
    /// Hashes at `cost`.
    ///
    /// # Errors
    /// [`CostError`].
    pub(crate) fn new(env: &Env, cost: Cost) -> Result<Self, CostError> {
        let hasher = cost.hasher()?;
        let decoy = argon2id::decoy(&hasher, &env.random).or(Err(CostError))?;
        Ok(Self { compute: env.compute.clone(), random: env.random.clone(), hasher, decoy })
    }

    /// The hash to store for a password.
    ///
    /// # Errors
    /// [`HashError`].
    pub(crate) async fn hash(
        &self,
        password: NewPassword,
        deadline: Deadline,
    ) -> Result<PasswordHash, HashError> {
        let (hasher, salt) = (self.hasher.clone(), self.random.bytes());
        let work = move || argon2id::hash(&hasher, password.reveal().as_bytes(), salt);
        self.run(work, deadline).await
    }

    /// Checks `password` against the stored hash, or against one that nobody's password has where there is
    /// no account: both take the same time.
    ///
    /// # Errors
    /// [`HashError`].
    pub(crate) async fn verify(
        &self,
        password: SecretString,
        stored: Option<PasswordHash>,
        deadline: Deadline,
    ) -> Result<Verdict, HashError> {
        let (hasher, salt, decoy) = (self.hasher.clone(), self.random.bytes(), self.decoy.clone());
        let work = move || {
            argon2id::verify(&hasher, password.expose_secret().as_bytes(), stored.as_ref(), &decoy, salt)
        };
        self.run(work, deadline).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
        deadline: Deadline,
    ) -> Result<T, HashError> {
        deadline.bound(self.compute.run(work)).await.or(Err(HashError::TooLate))??
    }
}
