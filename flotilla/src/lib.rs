//! The composition of the platform, and the command line over it.

mod cli;
mod up;
mod run;
mod issue;
mod data_dir;
mod certificate;
mod table;
mod error;

pub use cli::main;
