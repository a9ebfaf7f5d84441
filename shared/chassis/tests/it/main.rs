//! What the chassis promises, tested from outside: to whoever starts a service and to whoever connects to it.

mod bad_input;
mod harness;
mod settings;
