//! What every service stands on: configuration, listeners, what comes in, health, and an orderly end.
//!
//! A service is built, then run. [`Assembly::bind`] takes its ports and gives a [`Service`] that tells the real
//! ones; [`Service::run`] configures nothing more and ends by draining. [`main`] does both for a process of its
//! own; a composition does them for many services at once.

mod settings;
mod process;
mod listeners;
mod platform;
mod renewal;
mod start;
mod front;
mod assembly;
mod service;
mod drain;
mod health;
mod knowledge;
mod admin;
mod grpc;
mod operations;
mod authorise;
mod user_tokens;
mod caller;
mod client_addr;
mod edge;
mod problem;
mod extract;
mod inbound;
mod serve;
mod signals;
mod entry;

pub use assembly::{Assembly, Background, Closing};
pub use authorise::Gate;
pub use caller::Caller;
pub use client_addr::ClientAddr;
pub use edge::{Access, Edge, Operation, Operations, delete, get, patch, post, put};
pub use entry::{Failure, main, run, tell};
pub use extract::{Json, Query};
pub use front::{Front, FrontConfig, FrontTls};
pub use health::{Check, Finding, Health, Report, Status};
pub use inbound::{
    Arrival, BodyError, Bounds, Handler, Inbound, Kind, RawHandler, RequestId, Shedding, Stack, UnreadBody,
};
pub use listeners::Listeners;
pub use platform::{Platform, VERSION};
pub use problem::Problem;
pub use process::{IdentityFiles, LogConfig, ProcessConfig, compute_threads, issuer, raise_file_limit};
pub use renewal::Renewal;
pub use serve::{Drained, Limits, Server, Transport};
pub use service::{Addrs, RunError, Service};
pub use settings::{
    ConfigFile, Configure, DiscoveryConfig, Flags, Place, SettingError, SettingErrors, Settings, Sources,
    Vars, database_config, discovery_config, finish_all, optional_discovery, outbound_config, read_duration,
    read_size, show_duration, show_size,
};
pub use signals::{Impatient, live};
pub use start::StartError;
pub use user_tokens::{KeySource, UserTokens};
