//! Who asks, at the edge.

use axum::extract::FromRequestParts;
use http::request::Parts;
use types::{ErrorClass, UserId};

use crate::Problem;

/// The user on whose behalf a request comes.
///
/// Handlers take it as an argument. It is found among the request's extensions, which no header reaches: only
/// the check of an access token puts it there. While there are no access tokens every such request is
/// answered 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Whose account.
    pub user: UserId,
    /// What it may do.
    pub role: Role,
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Use the platform on their own behalf.
    Customer,
    /// Run it.
    Operator,
}

impl Caller {
    /// Ends a request that is not an operator's.
    ///
    /// # Errors
    /// `Forbidden` for everybody else.
    pub fn must_be_operator(self) -> Result<(), Problem> {
        match self.role {
            Role::Operator => Ok(()),
            Role::Customer => Err(Problem::new(ErrorClass::Forbidden, "this is for operators")),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().copied();
        caller.ok_or_else(|| Problem::new(ErrorClass::Unauthenticated, "an access token is required"))
    }
}
