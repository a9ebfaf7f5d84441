use std::fmt;

use secrecy::SecretString;

/// A workload's certificate and key as PEM text.
#[derive(Clone)]
pub struct Pem {
    /// The workload's own certificate, then those that lead to a root, if there are any.
    pub chain: String,
    /// The private key that belongs to it.
    pub key: SecretString,
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem").field("chain", &self.chain).finish_non_exhaustive()
    }
}
