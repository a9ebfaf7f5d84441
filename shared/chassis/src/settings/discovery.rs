//! Where the other services are.

use std::sync::Arc;

use discovery::{Discover, Static, WrongEntry};

use super::Settings;

const NAME: &str = "SERVICES_STATIC";

const RIGHT: &str = "the instances of the other services with commas between them, each SERVICE=IP or \
                     SERVICE=IP:HTTP_PORT:GRPC_PORT";

/// The discovery of a process of its own: the list `SERVICES_STATIC`. It must be given, since every service calls
/// another, if only for the keys of access tokens: one that finds nobody would start and be of no use.
pub fn discovery_config(settings: &mut Settings) -> Arc<dyn Discover> {
    let list = settings.required_text(NAME, RIGHT);
    Arc::new(read(&list, settings))
}

/// The same list for a program that knows another way to the services where it is not given.
pub fn listed_services(settings: &mut Settings) -> Option<Static> {
    let list = settings.optional_text(NAME, RIGHT)?;
    Some(read(&list, settings))
}

fn read(list: &str, settings: &mut Settings) -> Static {
    Static::parse(list).unwrap_or_else(|error| {
        for WrongEntry(part) in error.0 {
            settings.reject_part(NAME, &part, WrongEntry::RIGHT);
        }
        Static::new([])
    })
}
