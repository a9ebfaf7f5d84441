use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;
use service_auth::{LocalCa, Pem, SpiffeId};

use crate::data_dir::{DataDirError, make_directory, refused};

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
    /// where it is missing. None takes an older one's place before all are written: a certificate with another's key
    /// is none.
    pub(crate) fn issue(&self, directory: &Path, ca: &LocalCa, id: &SpiffeId) -> Result<(), DataDirError> {
        let Pem { chain, key } = ca.issue(id, LocalCa::LEAF_VALIDITY)?;
        let files = [
            (self.chain, chain.as_str(), FOR_ALL_TO_READ),
            (self.key, key.expose_secret(), FOR_ITS_OWNER),
            (self.roots, ca.roots_pem(), FOR_ALL_TO_READ),
        ]
        .map(|(name, text, mode)| (directory.join(name), text, mode));
        make_directory(directory).map_err(refused("writing", directory))?;
        let written = files.iter().try_for_each(|(path, text, mode)| {
            let new = new(path);
            write(&new, text, *mode).map_err(refused("writing", &new))
        });
        // Whoever reads one meanwhile sees the old text or the new, never half of one.
        let replaced = written.and_then(|()| {
            files
                .iter()
                .try_for_each(|(path, ..)| fs::rename(new(path), path).map_err(refused("replacing", path)))
        });
        if replaced.is_err() {
            // A key that is nobody's is not left about. What is told is why it was written in vain.
            files.iter().for_each(|(path, ..)| drop(fs::remove_file(new(path))));
        }
        replaced
    }
}

/// Where a file is written before it takes the place of the one at `path`.
fn new(path: &Path) -> PathBuf {
    path.with_added_extension("new")
}

fn write(new: &Path, text: &str, mode: u32) -> io::Result<()> {
    // Not written over: what a crash has left may be open to others.
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(new)?;
    file.write_all(text.as_bytes())?;
    // Or after a power loss the name would lead to nothing.
    file.sync_all()
}
