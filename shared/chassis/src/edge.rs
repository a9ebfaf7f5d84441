//! The edge API of a service: its operations, and who may use each. There is no way to add one without saying so.

mod access;
mod operations;
#[cfg(test)]
mod tests;

use axum::{Extension, Router};

pub use self::access::Access;
use self::operations::Declared;
pub use self::operations::{Operation, Operations, delete, get, patch, post, put};
use crate::UserTokens;

/// The operations of a service, as [`axum::Router`] has them, each with its [`Access`]. `S` is the state that its
/// handlers still want.
///
/// ```
/// let edge: chassis::Edge = chassis::Edge::new().route("/tea", chassis::get(chassis::Access::Users, async || "tea"));
/// ```
/// What says of nobody that they may use it does not compile:
/// ```compile_fail
/// let edge: chassis::Edge = chassis::Edge::new().route("/tea", axum::routing::get(async || "tea"));
/// ```
#[derive(Clone, Debug)]
pub struct Edge<S = ()> {
    router: Router<S>,
    operations: Vec<Operation>,
}

impl<S: Clone + Send + Sync + 'static> Edge<S> {
    /// An API without operations.
    pub fn new() -> Self {
        Self { router: Router::new(), operations: Vec::new() }
    }

    /// Adds the operations of one path, which is written as in [`axum::Router::route`].
    ///
    /// # Panics
    /// When the path is none or has an operation already: a mistake in the code that the first start finds.
    #[must_use]
    pub fn route(mut self, path: &'static str, operations: Operations<S>) -> Self {
        let Operations { methods, declared } = operations;
        let named =
            declared.into_iter().map(|Declared { method, access }| Operation { method, path, access });
        self.operations.extend(named);
        Self { router: self.router.route(path, methods), ..self }
    }

    /// Gives the handlers their state.
    pub fn with_state<T>(self, state: S) -> Edge<T> {
        Edge { router: self.router.with_state(state), operations: self.operations }
    }

    /// The operations, for printing.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }
}

impl Edge {
    /// Whether any of it wants to know who a user is.
    pub(crate) fn asks_for_users(&self) -> bool {
        self.operations.iter().any(|operation| operation.access != Access::Anybody)
    }

    /// What answers, with `tokens` to know the users by.
    pub fn into_router(self, tokens: UserTokens) -> Router {
        self.router.layer(Extension(tokens))
    }
}

impl<S: Clone + Send + Sync + 'static> Default for Edge<S> {
    fn default() -> Self {
        Self::new()
    }
}
