//! Logging in: sessions, and the access tokens that every service believes.
#![allow(unused)]

mod session;
mod refresh_token;
mod refresh;
mod revocation;
mod keys;
pub mod config;
mod store;
mod limits;
mod asking;
mod accounts;
mod feed;
mod changes;
mod housekeeping;

use database::{Migration, migration};

pub use self::config::Config;
pub use self::keys::SealingKey;
pub use self::session::Lifetimes;

const MIGRATIONS: &[Migration] = &[migration!(1, "0001_sessions", oldest_binary = 1)];
