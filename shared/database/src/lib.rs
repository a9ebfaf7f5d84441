//! A service's own database: PostgreSQL or SQLite behind the same few words.
//!
//! A write is a [`Batch`], committed whole or not at all. Batches that wait at the same moment share one
//! transaction and one fsync, and each is answered only after it. Correctness comes from constraints and
//! expected row counts alone, so the same text is right on both databases under any interleaving.

mod batch;
mod config;
mod error;
mod group;
mod handle;
mod lease;
mod metrics;
mod migration;
mod postgres;
mod row;
mod schema;
mod sql;
mod sqlite;
mod transaction;
mod value;

pub use batch::Batch;
pub use config::{Backend, Config, Password, PostgresConfig, SqliteConfig, Timeouts, TlsMode};
pub use error::{CommitError, OpenError, ReadError};
pub use handle::Database;
pub use lease::Lease;
pub use migration::Migration;
pub use postgres::TlsSetupError;
pub use row::{FromValue, Row};
pub use sql::{Dialect, Sql};
pub use transaction::Transaction;
pub use value::Value;
