use std::path::{Path, PathBuf};

use auth_service::SealingKey;
use runtime::Random;
use secrecy::SecretString;

use crate::data_dir::{DataDirError, database_file};
use crate::run::AUTH_SERVICE;
use crate::secret_file;

/// What auth-service seals its signing keys with. The first start makes it, in a file that the setting
/// `SIGNING_KEY_SECRET_FILE` may name to an auth-service that runs as a process of its own.
pub(crate) fn signing_secret(data_dir: &Path, random: &Random) -> Result<SealingKey, DataDirError> {
    let path = file(data_dir);
    let secret = match secret_file::read(&path)? {
        Some(secret) => secret,
        None => make(&path, data_dir, random)?,
    };
    SealingKey::parse(&secret).ok_or(DataDirError::Damaged(path))
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("signing-key-secret")
}

fn make(path: &Path, data_dir: &Path, random: &Random) -> Result<SecretString, DataDirError> {
    let database = database_file(data_dir, &AUTH_SERVICE);
    // It is there before any key is, so it has been lost, and with another one no key could be opened.
    if database.exists() {
        return Err(DataDirError::SecretLost { path: path.to_owned(), database });
    }
    secret_file::make(path, &random.bytes::<{ SealingKey::LENGTH }>())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::durable::{self, FOR_ITS_OWNER};

    fn told(data_dir: &Path) -> Result<(), String> {
        signing_secret(data_dir, &Random::system()).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn it_is_made_once_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(told(dir.path()), Ok(()));
        let made = fs::read_to_string(file(dir.path())).unwrap();
        fs::write(database_file(dir.path(), &AUTH_SERVICE), "keys").unwrap();
        assert_eq!(told(dir.path()), Ok(()));
        assert_eq!(fs::read_to_string(file(dir.path())).unwrap(), made);
        fs::set_permissions(file(dir.path()), Permissions::from_mode(0o640)).unwrap();
        let shown = told(dir.path()).unwrap_err();
        assert!(
            shown.ends_with("is open to others (mode 640): it must be closed to them (chmod 600)"),
            "{shown}"
        );
    }

    #[test]
    fn one_that_is_lost_is_not_made_anew_over_keys_that_it_has_sealed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(database_file(dir.path(), &AUTH_SERVICE), "keys").unwrap();
        let lost = told(dir.path()).unwrap_err();
        assert!(lost.contains("signing-key-secret is missing, without which the keys in "), "{lost}");
        assert!(!file(dir.path()).exists());
    }

    #[test]
    fn one_that_is_damaged_is_told() {
        let dir = tempfile::tempdir().unwrap();
        durable::replace(&file(dir.path()), "half a secret\n", FOR_ITS_OWNER).unwrap();
        let assert_damaged = || {
            let damaged = told(dir.path()).unwrap_err();
            assert!(damaged.ends_with("signing-key-secret is damaged"), "{damaged}");
        };
        assert_damaged();
        fs::write(file(dir.path()), b"\xff").unwrap();
        assert_damaged();
    }
}
