//! Logging in: sessions, and the access tokens that every service believes.

pub mod config;
mod http;
mod grpc;
mod asking;
mod desk;
mod limits;
mod session;
mod refresh_token;
mod refresh;
mod revocation;
mod keys;
mod store;
mod accounts;
mod background;
mod changes;
mod feed;
mod housekeeping;
mod tally;

use std::time::Duration;

use chassis::{Assembly, KeySource, Platform, Service, StartError};
use database::{Migration, migration};
use runtime::Deadline;

pub use self::config::Config;
use self::desk::Desk;
use self::feed::Feed;
use self::keys::Keyring;
pub use self::keys::SealingKey;
pub use self::session::Lifetimes;

const MIGRATIONS: &[Migration] = &[migration!(1, "0001_sessions", oldest_binary = 1)];

/// For what is read and written before the service listens.
const START: Duration = Duration::from_secs(10);

/// The service, listening and not yet answering.
///
/// # Errors
/// [`StartError`]: its database, its signing keys or its ports cannot be had.
pub async fn build(config: Config, platform: Platform) -> Result<Service, StartError> {
    let database = platform.open_database(&config.database, MIGRATIONS).await?;
    let keys = Keyring::open(&platform.env, &database, config.sealing.clone(), Deadline::within(START));
    let keys = keys.await.map_err(|error| StartError::Other(Box::new(error)))?;
    let feed = Feed::new(&database, &platform.env.clock);
    let desk = Desk::new(&config, &platform, &database, &keys, &feed);
    let background = background::of(&config, &platform, &desk);
    let assembly = Assembly {
        http: http::edge(desk),
        keys: KeySource::Own(keys.published()),
        grpc: grpc::routes(&keys, feed, platform.health.clone()),
        allow: grpc::allow(&platform.trust_domain),
        contracts: &[proto::DESCRIPTOR_SET],
        background,
        ..Assembly::new(&platform.trust_domain)
    };
    assembly.with_database(&platform, &database).bind(&platform).await
}
