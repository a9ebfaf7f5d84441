//! The check of access tokens, with the issuer's keys of now.

mod asking;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use runtime::Deadline;
use service_auth::{Claims, TokenError, TokenVerifier};

use self::asking::Asking;
pub use self::source::KeySource;
use crate::Problem;

/// Tells who a user is by an access token. Clones are the same.
#[derive(Clone, Debug)]
pub struct UserTokens {
    verifier: TokenVerifier,
    // None where whoever keeps the keys tells every change.
    asking: Option<Arc<Asking>>,
}

impl From<TokenVerifier> for UserTokens {
    /// With keys that somebody else keeps.
    fn from(verifier: TokenVerifier) -> Self {
        Self { verifier, asking: None }
    }
}

impl UserTokens {
    /// What `token` says. A key that is not known yet is asked for, at most every few seconds, and waited for until
    /// `deadline`, at most for a second, and so are the first keys of all; otherwise this does not wait.
    ///
    /// # Errors
    /// [`TokenError`]: why it is not taken. `NoKeys` as well where its key is not known and nobody could be asked.
    pub async fn verify(&self, token: &str, deadline: Deadline) -> Result<Arc<Claims>, TokenError> {
        match (self.verifier.verify(token), &self.asking) {
            (Err(TokenError::UnknownKey), Some(asking)) => {
                let is_certain = asking.newer(deadline).await;
                let second = self.verifier.verify(token);
                second.map_err(|error| match error {
                    TokenError::UnknownKey if !is_certain => TokenError::NoKeys,
                    error => error,
                })
            }
            (Err(TokenError::NoKeys), Some(asking)) => {
                asking.first(deadline).await;
                self.verifier.verify(token)
            }
            (verdict, _) => verdict,
        }
    }

    /// What the access token of a request with these headers says (RFC 6750, section 2.1).
    ///
    /// # Errors
    /// The problem to answer with: there is none, or it is not taken.
    pub async fn check(&self, headers: &HeaderMap, deadline: Deadline) -> Result<Arc<Claims>, Problem> {
        let token = bearer(headers).ok_or_else(Problem::no_token)?;
        self.verify(token, deadline).await.map_err(Problem::bad_token)
    }
}

/// The token in the header, if there is one and not some other way to tell who one is.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}
