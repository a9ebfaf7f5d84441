//! What discovers, from outside.
#![cfg(test)]

mod agent;
mod consul;
mod conformance;
mod dns;
mod names;
mod server;
mod town;
mod watching;
