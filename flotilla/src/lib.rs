//! The composition of the platform, and the command line over it.

mod cli;
mod up;
mod first_operator;
mod signing_secret;
mod run;
mod issue;
mod verbs;
mod operator;
mod instances;
mod operations;
mod keys;
mod operators;
mod refusal;
mod accounts;
mod password;
mod data_dir;
mod certificate;
mod secret_file;
mod durable;
mod columns;
mod error;

pub use cli::main;
