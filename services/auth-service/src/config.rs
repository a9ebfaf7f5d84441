//! What the auth service is told at its start.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use chassis::{Configure, Settings, database_config};
use secrecy::ExposeSecret as _;

use crate::keys::SealingKey;
use crate::session::{ACCESS_LIFETIME, Lifetimes};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A session that ends before its first access token cannot be renewed; beyond a year nobody remembers the device.
const SESSIONS: RangeInclusive<Duration> = ACCESS_LIFETIME..=YEAR;

/// Often enough that a key which leaked unseen is of use to nobody for ever.
const KEY_AGE: Duration = Duration::from_secs(30 * DAY.as_secs());
/// A rotation takes a quarter of an hour.
const KEY_AGES: RangeInclusive<Duration> = HOUR..=YEAR;

/// One is always allowed; whoever wants to test without limits finds enough.
const FAILURES: RangeInclusive<NonZeroU32> =
    NonZeroU32::MIN..=NonZeroU32::new(100_000).expect("it is not zero");

/// The auth service's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the sessions and keys are.
    pub database: database::Config,
    /// What the signing keys are sealed with.
    pub sealing: SealingKey,
    /// How long sessions last.
    pub lifetimes: Lifetimes,
    /// How old a signing key gets.
    pub key_max_age: Duration,
    /// How many failed logins there may be at once.
    pub failures: Failures,
}

/// How many failed logins there may be at once, before they are limited to a few in a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failures {
    /// For one account, from addresses that it does not know.
    pub per_account: NonZeroU32,
    /// From one address.
    pub per_address: NonZeroU32,
}

impl Default for Failures {
    fn default() -> Self {
        let some = |number| NonZeroU32::new(number).expect("it is not zero");
        // A person gives up or resets the password before that; an office shares an address.
        Self { per_account: some(10), per_address: some(50) }
    }
}

impl Config {
    /// All but the database and the secret, which are decided elsewhere. Only with the secret it is a configuration.
    pub fn with_database(
        database: database::Config,
        settings: &mut Settings,
    ) -> impl FnOnce(SealingKey) -> Self + use<> {
        let (lifetimes, failures) = (Lifetimes::default(), Failures::default());
        let lifetimes = Lifetimes {
            absolute: settings.duration("SESSION_LIFETIME", lifetimes.absolute, SESSIONS),
            idle: settings.duration("SESSION_IDLE_TIMEOUT", lifetimes.idle, SESSIONS),
        };
        let key_max_age = settings.duration("SIGNING_KEY_MAX_AGE", KEY_AGE, KEY_AGES);
        let failures = Failures {
            per_account: settings.number("FAILED_LOGINS_PER_ACCOUNT", failures.per_account, FAILURES),
            per_address: settings.number("FAILED_LOGINS_PER_ADDRESS", failures.per_address, FAILURES),
        };
        move |sealing| Self { database, sealing, lifetimes, key_max_age, failures }
    }
}

impl Configure for Config {
    fn configure(settings: &mut Settings) -> Self {
        let (database, sealing) = (database_config(settings), sealing_key(settings));
        Self::with_database(database, settings)(sealing)
    }
}

fn sealing_key(settings: &mut Settings) -> SealingKey {
    const NAME: &str = "SIGNING_KEY_SECRET";
    let secret = settings.required_secret(NAME, SealingKey::RIGHT);
    SealingKey::parse(&secret).unwrap_or_else(|| {
        // One that is missing or unreadable has been told as that.
        if !secret.expose_secret().is_empty() {
            settings.reject(NAME, SealingKey::RIGHT);
        }
        // Of no use: the settings are refused.
        SealingKey::new(&[0; SealingKey::LENGTH])
    })
}

#[cfg(test)]
mod tests {
    use chassis::{Sources, Vars};
    use types::ServiceName;

    use super::*;

    const SECRET: (&str, &str) = ("SIGNING_KEY_SECRET", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");

    fn read<const N: usize>(vars: [(&str, &str); N]) -> (Config, Option<String>) {
        let sources = Sources { vars: Vars::from(vars), ..Sources::default() };
        let mut settings = Settings::new(ServiceName::new("auth-service"), sources);
        let config = Config::configure(&mut settings);
        (config, settings.finish().err().map(|errors| errors.to_string()))
    }

    #[test]
    fn what_is_not_set_is_as_the_documents_say() {
        let (config, wrong) = read([("DATABASE_URL", "sqlite:auth.db"), SECRET]);
        assert_eq!(wrong, None);
        assert_eq!(config.lifetimes, Lifetimes { absolute: DAY * 30, idle: DAY * 7 });
        assert_eq!((config.key_max_age, config.failures), (DAY * 30, Failures::default()));
    }

    #[test]
    fn what_is_set_is_taken() {
        let (config, wrong) = read([
            ("DATABASE_URL", "sqlite:auth.db"),
            SECRET,
            ("SESSION_LIFETIME", "48h"),
            ("SESSION_IDLE_TIMEOUT", "1h"),
            ("SIGNING_KEY_MAX_AGE", "24h"),
            ("FAILED_LOGINS_PER_ACCOUNT", "3"),
            ("FAILED_LOGINS_PER_ADDRESS", "4"),
        ]);
        assert_eq!(wrong, None);
        assert_eq!(config.lifetimes, Lifetimes { absolute: DAY * 2, idle: HOUR });
        assert_eq!((config.key_max_age, config.failures.per_account.get()), (DAY, 3));
        assert_eq!(config.failures.per_address.get(), 4);
    }

    #[test]
    fn without_a_secret_of_32_bytes_nothing_starts_and_it_is_not_repeated() {
        let database = ("DATABASE_URL", "sqlite:auth.db");
        let missing = read([database]).1.unwrap();
        assert!(missing.contains("SIGNING_KEY_SECRET") && missing.contains("openssl rand"), "{missing}");
        let wrong = read([database, ("SIGNING_KEY_SECRET", "hunter2")]).1.unwrap();
        assert!(wrong.contains("32 random bytes") && !wrong.contains("hunter2"), "{wrong}");
    }
}
