use types::{Classify, ErrorClass};

use super::jws;

/// Why an access token is not taken. The texts complete "the access token …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It cannot be checked: the issuer's keys have not arrived yet.
    #[error("cannot be checked yet: the keys for it have not arrived")]
    NoKeys,
    /// It is longer than any of ours.
    #[error("must not be longer than {} bytes", jws::LONGEST)]
    TooLong,
    /// It is no JWS in compact form.
    #[error("must be three parts in base64url without padding, joined by dots")]
    Form,
    /// The header or the claims are no JSON object, or name something twice.
    #[error("must have a header and claims that are JSON objects and name nothing twice")]
    Json,
    /// It asks to be checked in another way.
    #[error("must be signed by the algorithm EdDSA")]
    Algorithm,
    /// It is a token for something else.
    #[error("must be of the type at+jwt")]
    Type,
    /// It brings its own key, or rules that we do not have.
    #[error("must not have the header parameter {0}")]
    Header(&'static str),
    /// No key of that name is the issuer's, or not any more.
    #[error("is signed by a key that is not the issuer's")]
    UnknownKey,
    /// Somebody else signed it, or it was changed since.
    #[error("has a wrong signature")]
    Signature,
    /// Another issuer's.
    #[error("is not from our issuer")]
    Issuer,
    /// Meant for others.
    #[error("is not meant for this platform")]
    Audience,
    /// A claim is missing, or is not what it must be.
    #[error("must have the claim {0} as its issuer writes it")]
    Claim(&'static str),
    /// Its time is over.
    #[error("has expired")]
    Expired,
    /// What it was made for has ended before it.
    #[error("has been taken back")]
    Revoked,
    /// Its time has not come.
    #[error("is not valid yet")]
    NotYet,
}

impl Classify for TokenError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::NoKeys => ErrorClass::Unavailable,
            _ => ErrorClass::Unauthenticated,
        }
    }
}
