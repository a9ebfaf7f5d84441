//! The platform inside a simulated world: the real services, unmodified, on a network that fails and a disk
//! that forgets, with every choice made by a seed.
//!
//! Read in this order: who is there ([`hosts`]), what they want ([`workload`], [`client`], [`customer`],
//! [`operator`]), what goes wrong ([`faults`]), what is under them ([`net`], [`storage`], [`time`]), who watches
//! ([`lookout`]), what happened ([`history`]), whether that was right ([`checker`]), how one seed is run and told ([`world`], [`report`]), and how many are
//! ([`driver`]).

pub mod checker;
pub mod client;
pub mod customer;
pub mod driver;
pub mod faults;
pub mod history;
pub mod hosts;
pub mod lookout;
pub mod net;
pub mod operator;
pub mod report;
mod rpc;
pub mod storage;
pub mod time;
mod vacuity;
pub mod workload;
pub mod world;
