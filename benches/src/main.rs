//! Benchmarks, each beside its peer in the same run; what counts is the ratio. `cargo xtask bench NAME` starts
//! the server they need.

mod database;
mod figures;
mod neighbours;
mod server;

use anyhow::Result;
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
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match Cli::parse().bench {
            Bench::Database => database::run().await,
            Bench::Neighbours => neighbours::run().await,
        }
    })
}
