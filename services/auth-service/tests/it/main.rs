//! The auth service from outside: over mTLS, beside a user-service that keeps to its contract or does not.
#![cfg(test)]

mod client;
mod users;
mod world;

mod binary;
mod callers;
mod following;
mod keys;
mod limiting;
mod logging_in;
mod passwords;
mod refreshing;
mod registering;
mod revoking;
mod sessions;
