//! The program as its users have it: started, asked, ended and killed as a process.
//!
//! What is shown of `flotilla run user-service` holds for the service's own binary too: both hand over to
//! `chassis::run` with the same arguments.
#![cfg(test)]

#[path = "../../examples/create-user/operator.rs"]
mod operator;

mod admin;
mod alone;
mod agent;
mod processes;
mod program;
mod server;
mod together;
mod visitor;

mod command_line;
mod consul;
mod embedded;
mod ending;
mod issuing;
mod killed;
mod operations;
mod operators;
mod readme;
mod sessions;
mod settings;
mod typed;
mod walk;
