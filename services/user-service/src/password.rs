//! How passwords are kept and checked: Argon2id, off the async threads.

mod argon2id;
mod choice;
mod cost;
mod memory;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

use argon2::password_hash::Error as Argon2Error;
use runtime::{Compute, ComputeError, Deadline, Env, Random};
use secrecy::{ExposeSecret as _, SecretString};
use types::{Classify, ErrorClass};

use self::argon2id::{Decoy, Salt, Stored, Worker};
pub(crate) use self::choice::NewPassword;
pub use self::cost::Cost;
use self::cost::CostError;
use self::memory::Memories;

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
    /// It is, and this hash should take the place of the stored one, which was made at a lower cost.
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
    /// What it is to cost cannot be.
    #[error(transparent)]
    Cost(#[from] CostError),
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
            Self::Compute(ComputeError::Panicked) | Self::Argon2(_) | Self::Cost(_) => ErrorClass::Internal,
        }
    }
}

/// Hashes and checks passwords. Each running computation holds memory of [`Cost::memory_kib`]; [`Compute`] bounds
/// how many run.
#[derive(Clone)]
pub(crate) struct Passwords {
    compute: Compute,
    memories: Arc<Memories>,
    random: Random,
    cost: Cost,
    // What stands in for a hash where there is none. It costs as much as the dearest that there is, as far as is known:
    // so much does it cost to be refused.
    decoy: Arc<Mutex<Decoy>>,
}

impl Passwords {
    /// Hashes at `cost`.
    ///
    /// # Errors
    /// [`HashError::Cost`].
    pub(crate) fn new(env: &Env, cost: Cost) -> Result<Self, HashError> {
        let (compute, random) = (env.compute.clone(), env.random.clone());
        let decoy = Arc::new(Mutex::new(Decoy::new(cost, random.bytes())?));
        let memories = Arc::new(Memories::new(compute.clone()));
        Ok(Self { compute, memories, random, cost, decoy })
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
        let (cost, salt, memories) = (self.cost, self.random.bytes(), Arc::clone(&self.memories));
        let work = move || Worker::new(&memories).hash(cost, password.reveal().as_bytes(), salt);
        self.run(work, deadline).await
    }

    /// Checks `password` against the stored hash, if there is one. Being refused costs the same with and without
    /// one, and whatever the cost was when it was made.
    ///
    /// # Errors
    /// [`HashError`].
    pub(crate) async fn verify(
        &self,
        password: SecretString,
        stored: Option<PasswordHash>,
        deadline: Deadline,
    ) -> Result<Verdict, HashError> {
        let (passwords, salt) = (self.clone(), self.random.bytes());
        let work = move || {
            let password = password.expose_secret().as_bytes();
            passwords.check(&mut Worker::new(&passwords.memories), password, stored.as_ref(), salt)
        };
        self.run(work, deadline).await
    }

    fn check(
        &self,
        worker: &mut Worker<'_>,
        password: &[u8],
        stored: Option<&PasswordHash>,
        salt: Salt,
    ) -> Result<Verdict, HashError> {
        let met = stored.map(Stored::read).transpose()?;
        let decoy = self.decoy(met.as_ref().map(Stored::cost), salt)?;
        let verdict = match met {
            Some(stored) => worker.verify(self.cost, password, &stored, salt)?,
            None => {
                worker.verify(self.cost, password, &Stored::read(&decoy.hash)?, salt)?;
                Verdict::Wrong
            }
        };
        if verdict == Verdict::Wrong {
            worker.make_up(decoy.cost, password, salt)?;
        }
        Ok(verdict)
    }

    /// The decoy, now that there is a hash of the cost `met`.
    fn decoy(&self, met: Option<Cost>, salt: Salt) -> Result<Decoy, HashError> {
        let mut decoy = self.decoy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dearer) = met.filter(|met| met.work() > decoy.cost.work()) {
            *decoy = Decoy::new(dearer, salt)?;
        }
        Ok(decoy.clone())
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
        deadline: Deadline,
    ) -> Result<T, HashError> {
        // Also where whoever asked does not wait for the end.
        let _tidied = Tidied(&self.memories);
        deadline.bound(self.compute.run(work)).await.or(Err(HashError::TooLate))??
    }
}

/// When it is dropped, one less may be waiting for memory.
struct Tidied<'a>(&'a Memories);

impl Drop for Tidied<'_> {
    fn drop(&mut self) {
        self.0.tidy();
    }
}
