use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use secrecy::ExposeSecret as _;
use service_auth::{LocalCa, Pem, SpiffeId};

use crate::data_dir::{DataDirError, make_directory};

const FOR_ITS_OWNER: u32 = 0o600;
const FOR_ALL_TO_READ: u32 = 0o644;

/// What the files of a certificate are called.
pub(crate) struct Files {
    chain: &'static str,
    key: &'static str,
    roots: &'static str,
}

impl Files {
    /// As tools for one machine have them.
    pub(crate) const PEM: Self = Self { chain: "cert.pem", key: "key.pem", roots: "ca.pem" };
    /// As Kubernetes and cert-manager mount them.
    pub(crate) const MOUNTED: Self = Self { chain: "tls.crt", key: "tls.key", roots: "ca.crt" };

    /// Writes a fresh certificate for `id`, its key and the authority's certificate to `directory`, which is made
    /// where it is missing.
    pub(crate) fn issue(&self, directory: &Path, ca: &LocalCa, id: &SpiffeId) -> Result<(), DataDirError> {
        let Pem { chain, key } = ca.issue(id, LocalCa::LEAF_VALIDITY)?;
        let files = [
            (self.chain, chain.as_str(), FOR_ALL_TO_READ),
            (self.key, key.expose_secret(), FOR_ITS_OWNER),
            (self.roots, ca.roots_pem(), FOR_ALL_TO_READ),
        ];
        let mut written = make_directory(directory);
        for (name, text, mode) in files {
            written = written.and_then(|()| replace(&directory.join(name), text, mode));
        }
        written.map_err(|source| DataDirError::Io { doing: "writing", path: directory.to_owned(), source })
    }
}

/// Whoever reads it meanwhile sees the old text or the new, never half of one.
fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let new = path.with_added_extension("new");
    // Not written over: what a crash has left may be open to others.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(text.as_bytes())?;
    // Or after a power loss the name would lead to nothing.
    file.sync_all()?;
    fs::rename(&new, path)
}
