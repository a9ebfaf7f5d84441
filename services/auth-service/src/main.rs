//! The auth service as a process of its own.

use std::process::ExitCode;

// Tens of thousands of small, short-lived allocations per request batch are what it is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    chassis::main("auth-service", auth_service::build)
}
