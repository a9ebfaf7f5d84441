//! How passwords are kept and checked: Argon2id, off the async threads.

mod choice;

use std::fmt;

use argon2::password_hash::Error as Argon2Error;
use argon2::password_hash::phc::{Output, PasswordHash as Phc};
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use runtime::{Compute, ComputeError, Deadline, Env, Random};
use secrecy::{ExposeSecret as _, SecretString};
use types::{Classify, ErrorClass};

pub(crate) use self::choice::NewPassword;

/// What Argon2id costs (OWASP Password Storage Cheat Sheet).
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
    /// OWASP's first choice: 19 MiB, two passes, one lane.
    pub const OWASP: Self = Self { memory_kib: 19_456, iterations: 2, parallelism: 1 };

    /// Whether Argon2 can compute with it.
    ///
    /// # Errors
    /// [`CostError`].
    pub(crate) fn check(self) -> Result<(), CostError> {
        self.hasher().map(drop)
    }

    fn hasher(self) -> Result<Argon2<'static>, CostError> {
        let params = Params::new(self.memory_kib, self.iterations, self.parallelism, None);
        params.map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params)).or(Err(CostError))
    }
}

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
    /// There was no memory for it, or a stored hash is no PHC string of Argon2.
    #[error("hashing a password: {0}")]
    Argon2(Argon2Error),
}

impl Classify for HashError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Compute(ComputeError::Overloaded) | Self::TooLate => ErrorClass::Unavailable,
            Self::Compute(ComputeError::Panicked) | Self::Argon2(_) => ErrorClass::Internal,
        }
    }
}

/// Hashes and checks passwords. Each running computation holds one buffer of [`Cost::memory_kib`] and frees
/// it at its end; [`Compute`] bounds how many run.
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
        let decoy = decoy(&hasher, &env.random).or(Err(CostError))?;
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
        let work = move || hash(&hasher, password.reveal().as_bytes(), salt);
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
        let work =
            move || verify(&hasher, password.expose_secret().as_bytes(), stored.as_ref(), &decoy, salt);
        self.run(work, deadline).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Argon2Error> + Send + 'static,
        deadline: Deadline,
    ) -> Result<T, HashError> {
        let result = deadline.bound(self.compute.run(work)).await.or(Err(HashError::TooLate))?;
        result?.map_err(HashError::Argon2)
    }
}

/// The length that RFC 9106 recommends (section 3.1).
type Salt = [u8; 16];

fn hash(hasher: &Argon2<'_>, password: &[u8], salt: Salt) -> Result<PasswordHash, Argon2Error> {
    Ok(PasswordHash(hasher.hash_password_with_salt(password, &salt)?.to_string()))
}

/// A hash of no password: only checking against it costs what it costs, making it costs nothing.
fn decoy(hasher: &Argon2<'_>, random: &Random) -> Result<PasswordHash, Argon2Error> {
    let (salt, output): (Salt, [u8; Params::DEFAULT_OUTPUT_LEN]) = (random.bytes(), random.bytes());
    let phc = Phc {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: hasher.params().try_into()?,
        salt: Some(salt.as_slice().try_into()?),
        hash: Some(Output::new(&output)?),
    };
    Ok(PasswordHash(phc.to_string()))
}

fn verify(
    hasher: &Argon2<'_>,
    password: &[u8],
    stored: Option<&PasswordHash>,
    decoy: &PasswordHash,
    salt: Salt,
) -> Result<Verdict, Argon2Error> {
    let phc = Phc::new(stored.unwrap_or(decoy).as_str())?;
    match hasher.verify_password(password, &phc) {
        Ok(()) if stored.is_some() => {}
        Ok(()) | Err(Argon2Error::PasswordInvalid) => return Ok(Verdict::Wrong),
        Err(other) => return Err(other),
    }
    if cost_of(&Params::try_from(&phc)?) == cost_of(hasher.params()) {
        return Ok(Verdict::Right);
    }
    hash(hasher, password, salt).map(Verdict::RightAndRenewed)
}

fn cost_of(params: &Params) -> Cost {
    Cost { memory_kib: params.m_cost(), iterations: params.t_cost(), parallelism: params.p_cost() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use runtime::{Clock, Net};

    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 8, iterations: 1, parallelism: 1 };

    fn env() -> Env {
        Env::simulated(Clock::system(), Random::seeded(1), Net::system())
    }

    fn soon() -> Deadline {
        Deadline::within(Duration::from_secs(60))
    }

    #[test]
    fn a_secret_is_never_printed() {
        let password = NewPassword::parse("correct horse".into(), None).unwrap();
        let hash = PasswordHash::stored("$argon2id$horse".to_owned());
        let printed = format!("{password:?} {hash:?}");
        assert!(!printed.contains("horse"), "{printed}");
    }

    #[tokio::test]
    async fn a_password_is_told_from_a_wrong_one_and_from_none() {
        let passwords = Passwords::new(&env(), CHEAP).unwrap();
        let chosen = NewPassword::parse("correct horse".into(), None).unwrap();
        let stored = passwords.hash(chosen, soon()).await.unwrap();
        assert!(stored.as_str().starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{}", stored.as_str());
        let verify = async |password: &str, stored| passwords.verify(password.into(), stored, soon()).await;
        assert_eq!(verify("correct horse", Some(stored.clone())).await, Ok(Verdict::Right));
        assert_eq!(verify("Correct horse", Some(stored)).await, Ok(Verdict::Wrong));
        assert_eq!(verify("correct horse", None).await, Ok(Verdict::Wrong));
    }

    #[tokio::test]
    async fn two_accounts_with_one_password_have_different_hashes() {
        let passwords = Passwords::new(&env(), CHEAP).unwrap();
        let hash = async || {
            let chosen = NewPassword::parse("correct horse".into(), None).unwrap();
            passwords.hash(chosen, soon()).await.unwrap()
        };
        assert_ne!(hash().await, hash().await);
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_is_renewed_by_the_right_password_alone() {
        let (old, new) = (CHEAP, Cost { iterations: 2, ..CHEAP });
        let chosen = NewPassword::parse("correct horse".into(), None).unwrap();
        let stored = Passwords::new(&env(), old).unwrap().hash(chosen, soon()).await.unwrap();
        let passwords = Passwords::new(&env(), new).unwrap();
        let wrong = passwords.verify("wrong horse".into(), Some(stored.clone()), soon()).await;
        assert_eq!(wrong, Ok(Verdict::Wrong));
        let Ok(Verdict::RightAndRenewed(renewed)) =
            passwords.verify("correct horse".into(), Some(stored), soon()).await
        else {
            panic!("the hash has the old cost");
        };
        assert!(renewed.as_str().starts_with("$argon2id$v=19$m=8,t=2,p=1$"), "{}", renewed.as_str());
        assert_eq!(passwords.verify("correct horse".into(), Some(renewed), soon()).await, Ok(Verdict::Right));
    }

    #[tokio::test]
    async fn checking_where_there_is_no_account_computes_as_much_as_where_there_is_one() {
        let cost = Cost { iterations: 3, ..CHEAP };
        let mut passwords = Passwords::new(&env(), cost).unwrap();
        let params = Params::try_from(&Phc::new(passwords.decoy.as_str()).unwrap()).unwrap();
        assert_eq!(cost_of(&params), cost);
        assert_eq!(params.output_len(), Some(Params::DEFAULT_OUTPUT_LEN));
        // A decoy that cannot be computed with shows that it is.
        passwords.decoy = PasswordHash::stored("plain text".to_owned());
        let failed = passwords.verify("correct horse".into(), None, soon()).await;
        assert!(matches!(failed, Err(HashError::Argon2(_))), "{failed:?}");
    }

    #[tokio::test]
    async fn a_stored_hash_that_cannot_be_read_is_a_fault_of_ours_and_no_wrong_password() {
        let passwords = Passwords::new(&env(), CHEAP).unwrap();
        let stored = Some(PasswordHash::stored("plain text".to_owned()));
        let failed = passwords.verify("correct horse".into(), stored, soon()).await.unwrap_err();
        assert_eq!(failed.class(), ErrorClass::Internal);
    }

    #[test]
    fn parameters_that_argon2_does_not_take_are_refused() {
        let starved = Cost { memory_kib: 8, iterations: 1, parallelism: 2 };
        assert_eq!(Passwords::new(&env(), starved).map(drop), Err(CostError));
    }
}
