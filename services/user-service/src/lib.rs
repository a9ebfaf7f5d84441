//! The accounts of customers and operators: who they are, and whether a password is theirs.

mod account;
mod changes;
pub mod config;
mod directory;
mod grpc;
mod http;
mod password;
mod store;

use chassis::{Assembly, Platform, Service, StartError};
use database::{Migration, migration};

use self::changes::Changes;
pub use self::config::Config;
use self::directory::Directory;
pub use self::password::Cost;
use self::password::Passwords;

const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001_users", oldest_binary = 1),
    // An older program would change passwords and leave the sessions behind them as they are.
    migration!(2, "0002_account_changes", oldest_binary = 2),
];

/// The service, listening and not yet answering.
///
/// # Errors
/// [`StartError`]: its database or its ports cannot be had.
pub async fn build(config: Config, platform: Platform) -> Result<Service, StartError> {
    if !config.password_cost.is_enough() {
        tracing::warn!(
            cost = ?config.password_cost,
            "passwords cost an attacker less than OWASP asks for: raise ARGON2_MEMORY_KIB or ARGON2_ITERATIONS"
        );
    }
    let passwords = Passwords::new(&platform.env, config.password_cost);
    let passwords = passwords.map_err(|error| StartError::Other(Box::new(error)))?;
    let database = platform.open_database(&config.database, MIGRATIONS).await?;
    let (ids, clock, random) =
        (platform.env.ids.clone(), platform.env.clock.clone(), platform.env.random.clone());
    let changes = Changes::new(database.clone());
    let directory = Directory { database: database.clone(), passwords, changes, ids, clock, random };
    let assembly = Assembly {
        http: http::edge(directory.clone()),
        grpc: grpc::routes(&directory, &platform.health),
        allow: grpc::allow(&platform.trust_domain),
        contracts: &[proto::DESCRIPTOR_SET],
        ..Assembly::new(&platform.trust_domain)
    };
    assembly.with_database(&platform, &database).bind(&platform).await
}
