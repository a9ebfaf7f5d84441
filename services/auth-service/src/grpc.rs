//! The internal API: `flotilla.auth.v1.TokensService` for whoever checks access tokens,
//! `flotilla.auth.v1.KeysService` for operators.

mod keys;
mod tokens;

use std::sync::Arc;

use chassis::Health;
use runtime::Deadline;
use service_auth::{AllowTable, TrustDomain};
use tonic::service::Routes;
use tonic::{Request, Status};

use crate::feed::Feed;
use crate::keys::{Keyring, RotateError};

/// The services on the `grpc` listener.
pub(crate) fn routes(keys: &Keyring, feed: Feed, health: Health) -> Routes {
    let mut routes = Routes::builder();
    routes
        .add_service(tokens::service(keys.published(), feed, health))
        .add_service(keys::service(keys.clone()));
    routes.routes()
}

/// Who may call what: nobody has a right without a call that needs it.
pub(crate) fn allow(trust_domain: &TrustDomain) -> AllowTable {
    AllowTable::new(trust_domain)
        // Every service checks its callers' tokens itself, and keys are public.
        .allow_everyone("/flotilla.auth.v1.TokensService/GetKeys")
        .allow("/flotilla.auth.v1.TokensService/WatchRevocations", &["api-gateway"])
        .allow("/flotilla.auth.v1.KeysService/*", &["operator"])
}

fn deadline_of<T>(request: &Request<T>) -> Deadline {
    let deadline = request.extensions().get().copied();
    deadline.expect("the chassis gives every request a deadline")
}

impl From<RotateError> for Status {
    fn from(error: RotateError) -> Self {
        let mut status = proto::status::of_error(&error);
        // The chassis logs it with what brought it about, and sends none of that.
        status.set_source(Arc::new(error));
        status
    }
}
