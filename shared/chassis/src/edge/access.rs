use std::fmt;
use std::future::Future;
use std::pin::Pin;

use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse as _, Response};
use runtime::Deadline;
use types::Role;

use crate::{Caller, Problem, UserTokens};

/// Who may use an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever reaches it; an access token is not looked at.
    Anybody,
    /// Users, each for what is theirs: the handler sees whose it is.
    Users,
    /// Users who are operators.
    Operators,
}

impl Access {
    /// Its name in the table of permissions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anybody => "anybody",
            Self::Users => "users",
            Self::Operators => "operators",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A handler that is reached by those alone who may. It refuses before anything of the body is read.
#[derive(Clone)]
pub(super) struct Guarded<H> {
    pub(super) access: Access,
    pub(super) handler: H,
}

impl<H: Handler<T, S>, T: 'static, S: Clone + Send + Sync + 'static> Handler<T, S> for Guarded<H> {
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, mut request: Request, state: S) -> Self::Future {
        Box::pin(async move {
            match admit(self.access, &mut request).await {
                Ok(()) => self.handler.call(request, state).await,
                Err(problem) => problem.into_response(),
            }
        })
    }
}

/// Lets the request pass and tells its handler who the caller is.
async fn admit(access: Access, request: &mut Request) -> Result<(), Problem> {
    if access == Access::Anybody {
        return Ok(());
    }
    let extensions = request.extensions();
    let tokens = extensions.get::<UserTokens>().expect("an edge becomes a router with them");
    let deadline = extensions.get::<Deadline>().expect("the inbound stack sets one");
    let caller = Caller::from(&*tokens.check(request.headers(), *deadline).await?);
    match (access, caller.role) {
        (Access::Operators, Role::Customer) => return Err(Caller::no_operator()),
        (Access::Operators, Role::Operator) | (Access::Users | Access::Anybody, _) => {}
    }
    request.extensions_mut().insert(caller);
    Ok(())
}
