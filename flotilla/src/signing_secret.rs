use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use runtime::Random;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::data_dir::{DataDirError, database_file, refused};
use crate::durable::{self, FOR_ITS_OWNER};
use crate::run::AUTH_SERVICE;

/// The secret that auth-service seals its signing keys with, as its setting `SIGNING_KEY_SECRET` has it. The first
/// start makes it.
pub(crate) fn signing_secret(data_dir: &Path, random: &Random) -> Result<SecretString, DataDirError> {
    let path = file(data_dir);
    let text = match fs::read_to_string(&path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return make(path, data_dir, random),
        Err(error) => return Err(refused("reading", &path)(error)),
    };
    let mode = fs::metadata(&path).map_err(refused("reading", &path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(DataDirError::Exposed { path, mode });
    }
    Ok(SecretString::from(text.trim_end()))
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("signing-key-secret")
}

fn make(path: PathBuf, data_dir: &Path, random: &Random) -> Result<SecretString, DataDirError> {
    let database = database_file(data_dir, &AUTH_SERVICE);
    // It is there before any key is, so it has been lost, and with another one no key could be opened.
    if database.exists() {
        return Err(DataDirError::SecretLost { path, database });
    }
    let secret = Zeroizing::new(durable::hex(&*Zeroizing::new(random.bytes::<32>())));
    let text = Zeroizing::new(format!("{}\n", *secret));
    durable::replace(&path, &text, FOR_ITS_OWNER).map_err(refused("writing", &path))?;
    Ok(SecretString::from(secret.as_str()))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use secrecy::ExposeSecret as _;

    use super::*;

    fn told(data_dir: &Path) -> Result<String, String> {
        let secret = signing_secret(data_dir, &Random::system()).map_err(|error| error.to_string())?;
        Ok(secret.expose_secret().to_owned())
    }

    #[test]
    fn it_is_made_once_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let made = told(dir.path()).unwrap();
        assert!(made.len() == 64 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{made}");
        fs::write(database_file(dir.path(), &AUTH_SERVICE), "keys").unwrap();
        assert_eq!(told(dir.path()), Ok(made));
        fs::set_permissions(file(dir.path()), Permissions::from_mode(0o640)).unwrap();
        let shown = told(dir.path()).unwrap_err();
        assert!(shown.ends_with("signing-key-secret is open to others (mode 640): it must be closed to them (chmod 600)"), "{shown}");
    }

    #[test]
    fn one_that_is_lost_is_not_made_anew_over_keys_that_it_has_sealed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(database_file(dir.path(), &AUTH_SERVICE), "keys").unwrap();
        let lost = told(dir.path()).unwrap_err();
        assert!(lost.contains("signing-key-secret is missing, without which the keys in "), "{lost}");
        assert!(!file(dir.path()).exists());
    }
}
