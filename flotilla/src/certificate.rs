use std::fs;
use std::path::Path;

use runtime::Clock;
use secrecy::ExposeSecret as _;
use service_auth::{Identity, IdentityError, LocalCa, Pem, SpiffeId};

use crate::data_dir::{DataDirError, make_directory, refused};
use crate::durable::{FOR_ALL_TO_READ, FOR_ITS_OWNER, beside, write};

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

    /// What is in a directory under either kind of names.
    pub(crate) fn load(directory: &Path, clock: &Clock) -> Result<Identity, IdentityError> {
        let files = if directory.join(Self::MOUNTED.chain).exists() { Self::MOUNTED } else { Self::PEM };
        let [chain, key, roots] = [files.chain, files.key, files.roots].map(|name| directory.join(name));
        Identity::load(&chain, &key, &roots, clock)
    }

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
            let new = beside(path);
            write(&new, text, *mode).map_err(refused("writing", &new))
        });
        // Whoever reads one meanwhile sees the old text or the new, never half of one.
        let replaced = written.and_then(|()| {
            files
                .iter()
                .try_for_each(|(path, ..)| fs::rename(beside(path), path).map_err(refused("replacing", path)))
        });
        if replaced.is_err() {
            // A key that is nobody's is not left about. What is told is why it was written in vain.
            files.iter().for_each(|(path, ..)| drop(fs::remove_file(beside(path))));
        }
        replaced
    }
}
