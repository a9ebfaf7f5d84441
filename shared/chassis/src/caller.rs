//! Who asks, at the edge.

use axum::extract::FromRequestParts;
use http::request::Parts;
use service_auth::Claims;
use types::{ErrorClass, Role, SessionId, Timestamp, UserId};

use crate::Problem;

/// The user on whose behalf a request comes.
///
/// Handlers take it as an argument. It is found among the request's extensions, which no header reaches: only
/// the check of an access token puts it there, so under [`Access::Anybody`](crate::Access) there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Whose account.
    pub user: UserId,
    /// In which login.
    pub session: SessionId,
    /// What the account could do when the token was made.
    pub role: Role,
    /// The version that the account had then.
    pub version: i64,
    /// When the token ends.
    pub expires_at: Timestamp,
}

impl Caller {
    /// Ends a request that is not an operator's, where [`Access`](crate::Access) alone cannot tell.
    ///
    /// # Errors
    /// `Forbidden` for everybody else.
    pub fn must_be_operator(self) -> Result<(), Problem> {
        match self.role {
            Role::Operator => Ok(()),
            Role::Customer => Err(Self::no_operator()),
        }
    }

    pub(crate) fn no_operator() -> Problem {
        Problem::new(ErrorClass::Forbidden, "this is for operators")
    }
}

impl From<&Claims> for Caller {
    fn from(claims: &Claims) -> Self {
        let Claims { user, session, role, version, expires_at, .. } = *claims;
        Self { user, session, role, version, expires_at }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().copied().ok_or_else(Problem::no_token)
    }
}
