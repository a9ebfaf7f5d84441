//! One text over both databases: what is true of SQLite is true of a real PostgreSQL.
//!
//! `cargo xtask test` starts the server. Without it the PostgreSQL half says so and does nothing, except in
//! CI, where that is a failure.
#![cfg(test)]

#[macro_use]
mod world;
mod outsider;
mod proxy;

mod bounds;
mod contention;
mod groups;
mod leases;
mod lost_answers;
mod migrations;
mod tls;
mod transactions;
mod values;
