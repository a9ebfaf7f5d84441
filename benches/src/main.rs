//! Benchmarks, each beside its peer in the same run; what counts is the ratio. `cargo xtask bench NAME` starts
//! the server they need.

mod bare_proxy;
mod connection;
mod database;
mod faults;
mod figures;
mod gateway;
mod getuser;
mod hot;
mod house;
mod load;
mod minimal;
mod neighbours;
mod open_loop;
mod outbound;
mod overload;
mod place;
mod process;
mod resilience;
mod server;
mod slow_proxy;
mod start;
mod stuffing;
mod town;
mod visitor;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};

// As in the platform's own binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Benchmarks of the platform beside their peers.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Two rows in one durable transaction from 32 callers: PostgreSQL beside pgbench, SQLite beside a commit each.
    Database,
    /// How long the neighbours of a failing batch wait, beside groups in which nothing fails.
    Neighbours,
    /// Twenty rows that 64 callers change, beside rows of each caller's own.
    Hot,
    /// gRPC GetUser from PostgreSQL, beside a tonic server that does nothing else.
    Getuser,
    /// GET /users/me through the gateway, beside a bare proxy before the same service.
    Gateway,
    /// From exec to the first answer through the gateway, and memory at rest and after 1,000 logins.
    Start,
    /// Whether a login at an account that there is takes longer than at none.
    Stuffing,
    /// What the circuit breaker, the limits and the retry budget cost a call that nothing is wrong with.
    Resilience,
    /// What callers see when instances of a service die, stop or become slow under load.
    Faults(faults::Settings),
    /// Half to ten times what the platform can do: what it answers, how it refuses, what memory it takes.
    Overload(overload::Settings),
    /// A service that is measured, or needed by one that is.
    #[command(hide = true)]
    UserService,
    #[command(hide = true)]
    AuthService,
    #[command(hide = true)]
    ApiGateway,
    /// The gateway's peer.
    #[command(hide = true)]
    BareProxy(bare_proxy::Settings),
    /// The user service's peer.
    #[command(hide = true)]
    MinimalUserService(minimal::Settings),
}

fn main() -> Result<ExitCode> {
    match Cli::parse().bench {
        Bench::Database => block_on(database::run()),
        Bench::Neighbours => block_on(neighbours::run()),
        Bench::Hot => block_on(hot::run()),
        Bench::Getuser => block_on(getuser::run()),
        Bench::Start => block_on(start::run()),
        Bench::Resilience => in_one_thread(resilience::run()),
        Bench::Stuffing => block_on(stuffing::run()),
        Bench::Faults(settings) => block_on(faults::run(settings)),
        Bench::Overload(settings) => block_on(overload::run(settings)),
        Bench::Gateway => block_on(gateway::run()),
        Bench::AuthService => Ok(chassis::run("auth-service", [], auth_service::build)),
        Bench::ApiGateway => Ok(chassis::run("api-gateway", [], api_gateway::build)),
        Bench::BareProxy(settings) => block_on(bare_proxy::serve(settings)),
        Bench::UserService => Ok(chassis::run("user-service", [], user_service::build)),
        Bench::MinimalUserService(settings) => block_on(minimal::serve(settings)),
    }
}

/// For what is so short that going from one thread to another would be most of it.
fn in_one_thread(work: impl Future<Output = Result<()>>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work)?;
    Ok(ExitCode::SUCCESS)
}

fn block_on(work: impl Future<Output = Result<()>>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            done = work => done,
            // What it started ends with it, also what is stopped and would not hear of it.
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}
