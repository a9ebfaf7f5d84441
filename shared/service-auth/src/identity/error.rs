use std::io;
use std::path::PathBuf;

use rustls::pki_types::pem;

use types::Timestamp;

use crate::{SpiffeId, SvidError};

/// Why a certificate, key and roots are no identity. Each names the file, or the part where there are no
/// files, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("cannot read {}: it must be a PEM file that this process may read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The text is not PEM.
    #[error("{place} is broken: it must be PEM text")]
    BrokenPem {
        /// The file or part.
        place: String,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// There is no certificate.
    #[error("there is no certificate in {place}: it must hold at least one as PEM")]
    NoCertificate {
        /// The file or part.
        place: String,
    },
    /// There is no key.
    #[error("there is no private key in {place}: it must hold one as PEM (PKCS#8, SEC1 or PKCS#1)")]
    NoKey {
        /// The file or part.
        place: String,
    },
    /// The own certificate, or a root, breaks a rule.
    #[error("a certificate in {place} {rule}")]
    Svid {
        /// The file or part.
        place: String,
        /// The rule that it breaks.
        rule: SvidError,
    },
    /// The own certificate does not lead to the roots or is not in date.
    #[error("the certificate in {chain} is not in date or not signed by one in {roots}")]
    Untrusted {
        /// The file or part with the own certificate.
        chain: String,
        /// The file or part with the roots.
        roots: String,
        /// What is wrong.
        #[source]
        source: rustls::Error,
    },
    /// Key and certificate do not belong together, or the key is of a kind that cannot be used.
    #[error("{key} does not belong to the certificate in {chain}, or is of an unknown kind")]
    Key {
        /// The file or part with the key.
        key: String,
        /// The file or part with the certificate.
        chain: String,
        /// What is wrong.
        #[source]
        source: rustls::Error,
    },
    /// The certificate for the public does not hold now.
    #[error("the certificate in {place} holds from {from} until {until}: it must hold now")]
    NotInDate {
        /// The file or part.
        place: String,
        /// Since when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// A replacement is somebody else's.
    #[error("the new certificate is {other}, and this process is {mine}")]
    OtherWorkload {
        /// Who this process is.
        mine: SpiffeId,
        /// What the certificate says.
        other: SpiffeId,
    },
}
