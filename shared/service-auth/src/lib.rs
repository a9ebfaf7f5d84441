//! Who a service is, who is calling it, for which user, and what the caller may do.
//!
//! Every workload has a SPIFFE id in an X.509 certificate (an X.509-SVID). All internal connections are TLS
//! 1.3 with a certificate on both ends, and the id in it, not a host's name, is what each end checks. Which
//! caller may use which method stands in a table of the service; what is not in the table is refused. The user a
//! request is for is in an access token, which every service checks with the issuer's public keys.

mod allow;
mod identity;
mod local_ca;
mod pem;
mod public_tls;
mod spiffe_id;
mod svid;
mod tls_error;
mod token;

pub use allow::{AllowTable, Callers};
pub use identity::{Alpn, Identity, IdentityError, Protocol, Secured};
pub use local_ca::{CaError, Damage, LocalCa};
pub use pem::Pem;
pub use public_tls::PublicTls;
pub use spiffe_id::{DEFAULT_TRUST_DOMAIN, Peer, SpiffeId, SpiffeIdError, TrustDomain};
pub use svid::SvidError;
pub use tls_error::TlsError;
pub use token::{Claims, Issuer, KeySet, KeySetError, PublicKey, SigningKey, TokenError, TokenVerifier};
