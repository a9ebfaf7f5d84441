//! The user service from outside: over mTLS, on both databases.
#![cfg(test)]

mod connection;
mod database;
mod world;

mod binary;
mod callers;
mod changing;
mod creating;
mod credentials;
mod edge;
mod guarding;
mod malformed;
mod watching;
