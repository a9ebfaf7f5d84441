//! Access tokens: signed by one service, checked by all.
//!
//! A token is a JWS in compact form (RFC 7515) with the claims of RFC 9068. There is one algorithm, Ed25519 as
//! `EdDSA` (RFC 8037), and one key for each `kid`: nothing in a token chooses how it is checked (RFC 8725).

mod cache;
mod claims;
mod error;
mod json;
mod jws;
mod key;
mod key_set;
mod verifier;

pub use self::claims::{Claims, Issuer};
pub use self::error::TokenError;
pub use self::key::{PublicKey, SigningKey};
pub use self::key_set::{KeySet, KeySetError};
pub use self::verifier::TokenVerifier;
