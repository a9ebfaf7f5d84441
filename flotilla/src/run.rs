use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use chassis::Failure;
use types::ServiceName;

/// The services there are.
pub(crate) const SERVICES: [&str; 3] = ["user-service", "auth-service", "api-gateway"];

pub(crate) const USER_SERVICE: ServiceName = ServiceName::new("user-service");
pub(crate) const AUTH_SERVICE: ServiceName = ServiceName::new("auth-service");
pub(crate) const API_GATEWAY: ServiceName = ServiceName::new("api-gateway");

/// Runs the service that the first of `words` names as a process of its own, as its own binary would, with the
/// others as its command line.
pub(crate) fn run(words: Vec<OsString>) -> ExitCode {
    let mut settings = words.into_iter();
    let service = settings.next().unwrap_or_default();
    match service.to_str() {
        Some("user-service") => chassis::run("user-service", settings, user_service::build),
        Some("auth-service") => chassis::run("auth-service", settings, auth_service::build),
        Some("api-gateway") => chassis::run("api-gateway", settings, api_gateway::build),
        _ => {
            let names = SERVICES.join(", ");
            // There is nowhere to tell that stderr is gone.
            drop(writeln!(
                io::stderr(),
                "flotilla: there is no service {service:?}; must be one of: {names}"
            ));
            ExitCode::from(Failure::USAGE)
        }
    }
}
