use std::io::{self, Write as _};
use std::process::ExitCode;

use chassis::Failure;

/// The services there are.
pub(crate) const SERVICES: [&str; 1] = ["user-service"];

/// Runs one service as a process of its own, as its own binary would.
pub(crate) fn run(service: &str, settings: Vec<String>) -> ExitCode {
    match service {
        "user-service" => chassis::run("user-service", settings, user_service::build),
        _ => {
            let names = SERVICES.join(", ");
            // There is nowhere to tell that stderr is gone.
            drop(writeln!(io::stderr(), "flotilla: there is no service {service}; must be one of: {names}"));
            ExitCode::from(Failure::USAGE)
        }
    }
}
