//! The gateway as a process of its own.

use std::process::ExitCode;

// A request is some dozens of small, short-lived allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    chassis::main("api-gateway", api_gateway::build)
}
