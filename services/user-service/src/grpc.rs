//! The internal API: `userservice.UserService` for all services, `flotilla.users.v1.AccountsService` for those
//! who guard the accounts.

mod accounts;
mod changes;
mod users;

use std::str::FromStr;
use std::sync::Arc;

use chassis::Health;
use runtime::Deadline;
use service_auth::{AllowTable, TrustDomain};
use tonic::service::Routes;
use tonic::{Request, Status};
use types::{Classify as _, FieldError};

use crate::directory::{Directory, DirectoryError};

/// The services on the `grpc` listener.
pub(crate) fn routes(directory: &Directory, health: &Health) -> Routes {
    let mut routes = Routes::builder();
    let accounts = accounts::service(directory.clone(), health.clone());
    routes.add_service(users::service(directory.clone())).add_service(accounts);
    routes.routes()
}

/// Who may call what: nobody has a right without a call that needs it.
pub(crate) fn allow(trust_domain: &TrustDomain) -> AllowTable {
    const GUARDS: &[&str] = &["auth-service", "operator"];
    AllowTable::new(trust_domain)
        // Whoever shows an order's or a message's owner.
        .allow("/userservice.UserService/GetUser", &["order-service", "notification-service", "operator"])
        // Registering is part of logging in.
        .allow("/userservice.UserService/CreateUser", GUARDS)
        // Owners change and delete their accounts through the edge API, with their own token.
        .allow("/userservice.UserService/UpdateUser", &["operator"])
        .allow("/userservice.UserService/DeleteUser", &["operator"])
        .allow("/flotilla.users.v1.AccountsService/VerifyCredentials", GUARDS)
        .allow("/flotilla.users.v1.AccountsService/ChangePassword", GUARDS)
        .allow("/flotilla.users.v1.AccountsService/ChangeRole", &["operator"])
        .allow("/flotilla.users.v1.AccountsService/GetAccount", GUARDS)
        // Whoever settles a change without drawing its consequences leaves tokens good that must not be.
        .allow("/flotilla.users.v1.AccountsService/WatchChanges", &["auth-service"])
        .allow("/flotilla.users.v1.AccountsService/SettleChanges", &["auth-service"])
}

fn deadline_of<T>(request: &Request<T>) -> Deadline {
    let deadline = request.extensions().get().copied();
    deadline.expect("the chassis gives every request a deadline")
}

impl From<DirectoryError> for Status {
    fn from(error: DirectoryError) -> Self {
        let mut status = proto::status::of(error.class(), &error.to_string(), error.fields());
        // The chassis logs it with what brought it about, and sends none of that.
        status.set_source(Arc::new(error));
        status
    }
}

/// The field's value, or why the request is refused.
fn parse<T: FromStr<Err: ToString>>(field: &str, text: &str) -> Result<T, FieldError> {
    text.parse().map_err(|error: T::Err| FieldError::of(field, error.to_string()))
}

fn wrong(field: FieldError) -> DirectoryError {
    DirectoryError::Invalid(vec![field])
}
