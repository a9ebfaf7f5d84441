//! What the chassis promises, tested from outside: to whoever starts a service and to whoever connects to it.
#![cfg(test)]

mod bad_bodies;
mod bad_input;
mod caller;
mod front;
mod harness;
mod http2;
mod inbound;
mod lifecycle;
mod load;
mod logging;
mod operations;
mod outbound;
mod process;
mod serving;
mod settings;
mod slow;
mod town;
mod users;
