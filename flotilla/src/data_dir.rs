use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chassis::{Failure, Renewal};
use runtime::Clock;
use service_auth::{CaError, Identity, IdentityError, LocalCa, SpiffeId};
use types::ServiceName;

use crate::certificate::Files;
use crate::durable;

/// The directory that holds all of a platform that runs in one process. One process at a time owns it.
pub(crate) struct DataDir {
    path: PathBuf,
    ca: Arc<LocalCa>,
    operators: Arc<OperatorsFiles>,
    clock: Clock,
    /// Held until the process ends, in whatever way: the operating system gives it back.
    _lock: File,
}

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    #[error("{doing} {}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is in use by another flotilla; stop it, or name another directory with --data-dir", .0.display())]
    InUse(PathBuf),
    #[error("{} is open to others (mode {mode:03o}): it must be closed to them (chmod 600)", path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{} is missing, without which the keys in {} cannot be opened", path.display(), database.display())]
    SecretLost { path: PathBuf, database: PathBuf },
    #[error("{} is damaged", .0.display())]
    Damaged(PathBuf),
    #[error("the platform's certificates")]
    Authority(#[from] CaError),
    #[error("the platform's certificates")]
    Identity(#[from] IdentityError),
}

impl DataDirError {
    /// What the process answers to whoever started it.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Exposed { .. } | Self::Authority(CaError::Exposed { .. }) => Failure::USAGE,
            // No later start repairs it, nor a text that is none.
            Self::Authority(CaError::Io { source, .. }) if source.kind() == io::ErrorKind::InvalidData => {
                Failure::SOFTWARE
            }
            Self::Io { .. } | Self::InUse(_) | Self::Authority(CaError::Io { .. }) => Failure::UNAVAILABLE,
            Self::SecretLost { .. } | Self::Damaged(_) | Self::Authority(_) | Self::Identity(_) => {
                Failure::SOFTWARE
            }
        }
    }
}

impl DataDir {
    /// Only the owner gets in: there are keys and password hashes inside.
    const OWNERS_DIRECTORY: u32 = 0o700;

    /// Takes the directory over, and makes it where it is missing.
    pub(crate) fn open(path: &Path, clock: &Clock) -> Result<Self, DataDirError> {
        make(path)?;
        let lock_path = path.join("lock");
        let lock = File::create(&lock_path).map_err(refused("making", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(refused("locking", &lock_path)(error)),
        }
        let ca = Arc::new(authority(path, clock)?);
        let directory = path.join("operator");
        let operators = Arc::new(OperatorsFiles { directory, ca: Arc::clone(&ca), writing: Mutex::new(()) });
        Ok(Self { path: path.to_owned(), ca, operators, clock: clock.clone(), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn authority(&self) -> &LocalCa {
        &self.ca
    }

    /// A fresh certificate for a service.
    pub(crate) fn identity(&self, service: &ServiceName) -> Result<Identity, DataDirError> {
        self.issue(&SpiffeId::service(self.ca.trust_domain(), service))
    }

    /// A fresh certificate for what the platform itself does as the operator.
    pub(crate) fn operator(&self) -> Result<Identity, DataDirError> {
        self.issue(&SpiffeId::operator(self.ca.trust_domain()))
    }

    fn issue(&self, id: &SpiffeId) -> Result<Identity, DataDirError> {
        let pem = self.ca.issue(id, LocalCa::LEAF_VALIDITY)?;
        Ok(Identity::from_pem(&pem, self.ca.roots_pem(), &self.clock)?)
    }

    /// What makes the certificates of a service and of the operator anew when half of their time is over.
    pub(crate) fn renewal(&self) -> Renewal {
        let (operators, ca, clock) = (Arc::clone(&self.operators), Arc::clone(&self.ca), self.clock.clone());
        Renewal::new(move |identity| -> Result<(), DataDirError> {
            if clock.now().after(LocalCa::LEAF_VALIDITY / 2) < identity.expires_at() {
                return Ok(());
            }
            // The service's comes last: until it is there, the next minute tries again.
            operators.write()?;
            let pem = ca.issue(&identity.id(), LocalCa::LEAF_VALIDITY)?;
            Ok(identity.replace(&pem, ca.roots_pem())?)
        })
    }

    /// Writes a fresh certificate for the operator, for tools that speak gRPC with mTLS; tells where.
    pub(crate) fn write_operator(&self) -> Result<PathBuf, DataDirError> {
        self.operators.write()?;
        Ok(self.operators.directory.clone())
    }
}

/// The files of the operator's certificate, which every service makes anew with its own.
struct OperatorsFiles {
    directory: PathBuf,
    ca: Arc<LocalCa>,
    /// Held by whoever writes: two at once would leave one's certificate with the other's key.
    writing: Mutex<()>,
}

impl OperatorsFiles {
    fn write(&self) -> Result<(), DataDirError> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        Files::PEM.issue(&self.directory, &self.ca, &SpiffeId::operator(self.ca.trust_domain()))
    }
}

/// The authority in a data directory, both of which are made where they are missing. It may be used beside the
/// process that owns the directory.
pub(crate) fn authority(data_dir: &Path, clock: &Clock) -> Result<LocalCa, DataDirError> {
    make(data_dir)?;
    Ok(LocalCa::open(&data_dir.join("authority"), clock)?)
}

/// Makes the data directory where it is missing.
fn make(path: &Path) -> Result<(), DataDirError> {
    make_directory(path).map_err(refused("making the data directory", path))
}

/// The file of a service's database.
pub(crate) fn database_file(data_dir: &Path, service: &ServiceName) -> PathBuf {
    data_dir.join(format!("{service}.db"))
}

pub(crate) fn refused(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    let path = path.to_owned();
    move |source| DataDirError::Io { doing, path, source }
}

/// Makes the directory, and those that lead to it, where they are missing. What is there is left alone: the
/// directories above it may be closed to us.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
    let missing: Vec<&Path> = missing.collect();
    DirBuilder::new().recursive(true).mode(DataDir::OWNERS_DIRECTORY).create(path)?;
    missing.into_iter().try_for_each(durable::sync_name)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use futures_util::future::join_all;
    use types::Timestamp;

    use super::*;

    #[test]
    fn one_process_at_a_time_owns_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let (path, clock) = (directory.path().join("data"), Clock::system());
        let first = DataDir::open(&path, &clock).unwrap();
        let second = DataDir::open(&path, &clock).err().map(|error| error.to_string());
        assert!(second.unwrap().contains("is in use by another flotilla"));
        drop(first);
        DataDir::open(&path, &clock).unwrap();
    }

    #[test]
    fn only_the_owner_reads_the_operators_key() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::open(&directory.path().join("data"), &Clock::system()).unwrap();
        let operator = data.write_operator().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&operator), 0o700);
        assert_eq!(mode(&operator.join("key.pem")), 0o600);
        let key = fs::read(operator.join("key.pem")).unwrap();
        data.write_operator().unwrap();
        assert_ne!(fs::read(operator.join("key.pem")).unwrap(), key, "each start makes a new one");
    }

    #[tokio::test(start_paused = true)]
    async fn certificates_are_made_anew_when_half_of_their_time_is_over() {
        const SERVICE: ServiceName = ServiceName::new("user-service");
        let home = tempfile::tempdir().unwrap();
        let clock = Clock::from_tokio(Timestamp::from_micros(1_785_000_000_000_000));
        let data = DataDir::open(&home.path().join("data"), &clock).unwrap();
        let (identity, renewal) = (data.identity(&SERVICE).unwrap(), data.renewal());
        let operator = data.write_operator().unwrap().join("cert.pem");
        let (first, of_operator) = (identity.expires_at(), std::fs::read(&operator).unwrap());
        let (half, minute) = (LocalCa::LEAF_VALIDITY / 2, Duration::from_secs(60));
        tokio::time::advance(half - minute).await;
        renewal.renew(&identity).unwrap();
        assert_eq!(identity.expires_at(), first, "it is not yet time");
        tokio::time::advance(minute * 2).await;
        renewal.renew(&identity).unwrap();
        assert_eq!(identity.expires_at(), first.after(half + minute));
        assert_ne!(std::fs::read(&operator).unwrap(), of_operator);
    }

    #[tokio::test(start_paused = true)]
    async fn certificates_that_are_made_anew_at_once_leave_the_operator_one_with_its_key() {
        const MANY: usize = 16;
        let home = tempfile::tempdir().unwrap();
        let clock = Clock::from_tokio(Timestamp::from_micros(1_785_000_000_000_000));
        let data = DataDir::open(&home.path().join("data"), &clock).unwrap();
        let operator = data.write_operator().unwrap();
        let of_services =
            [const { ServiceName::new("user-service") }; MANY].map(|it| data.identity(&it).unwrap());
        tokio::time::advance(LocalCa::LEAF_VALIDITY / 2).await;
        #[expect(clippy::disallowed_methods, reason = "threads on which the clock is the test's")]
        let renewals = of_services.map(|identity| {
            let renewal = data.renewal();
            tokio::task::spawn_blocking(move || renewal.renew(&identity).map_err(|error| error.to_string()))
        });
        for renewed in join_all(renewals).await {
            assert_eq!(renewed.unwrap(), Ok(()));
        }
        Files::load(&operator, &clock).unwrap();
        assert_eq!(fs::read_dir(&operator).unwrap().count(), 3);
    }
}
