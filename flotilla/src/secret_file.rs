//! Secrets in the data directory: files of one line that are their owner's alone.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::data_dir::{DataDirError, refused};
use crate::durable::{self, FOR_ITS_OWNER};

const FOR_OTHERS: u32 = 0o077;

/// The secret at `path`, if there is one.
pub(crate) fn read(path: &Path) -> Result<Option<SecretString>, DataDirError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused("reading", path)(error)),
    };
    // Of the opened file: the name might mean another one a moment later.
    let mode = file.metadata().map_err(refused("reading", path))?.mode() & 0o777;
    if mode & FOR_OTHERS != 0 {
        return Err(DataDirError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    match file.read_to_string(&mut text) {
        Ok(_) => Ok(Some(SecretString::from(text.trim_end()))),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(DataDirError::Damaged(path.to_owned()))
        }
        Err(error) => Err(refused("reading", path)(error)),
    }
}

/// Makes the secret at `path` of random `bytes`.
pub(crate) fn make(path: &Path, bytes: &[u8]) -> Result<SecretString, DataDirError> {
    let text = durable::hex(bytes);
    let line = Zeroizing::new(format!("{}\n", *text));
    durable::replace(path, &line, FOR_ITS_OWNER).map_err(refused("writing", path))?;
    Ok(SecretString::from(text.as_str()))
}
