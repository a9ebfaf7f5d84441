//! The composition of the platform, and the command line over it.

mod cli;
mod data_dir;
mod run;
mod table;
mod up;

pub use cli::main;
