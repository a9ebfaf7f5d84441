//! The user service as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::main("user-service", user_service::build)
}
