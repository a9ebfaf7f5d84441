//! What the user service is told at its start.

use std::ops::RangeInclusive;

use chassis::{Configure, Settings, database_config};

use crate::password::Cost;

/// 8 KiB is the least that Argon2 takes; beyond 256 MiB a few logins at once would exhaust a small machine.
const MEMORY_KIB: RangeInclusive<u32> = 8..=262_144;

/// More passes than this take seconds.
const ITERATIONS: RangeInclusive<u32> = 1..=16;

/// More lanes only cost: one computation runs on one thread.
const PARALLELISM: RangeInclusive<u32> = 1..=4;

/// The user service's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the accounts are.
    pub database: database::Config,
    /// What hashing a password costs.
    pub password_cost: Cost,
}

impl Config {
    /// All but the database, which is decided elsewhere.
    pub fn with_database(database: database::Config, settings: &mut Settings) -> Self {
        Self { database, password_cost: password_cost(settings) }
    }
}

impl Configure for Config {
    fn configure(settings: &mut Settings) -> Self {
        Self::with_database(database_config(settings), settings)
    }
}

fn password_cost(settings: &mut Settings) -> Cost {
    let cost = Cost {
        memory_kib: settings.number("ARGON2_MEMORY_KIB", Cost::OWASP.memory_kib, MEMORY_KIB),
        iterations: settings.number("ARGON2_ITERATIONS", Cost::OWASP.iterations, ITERATIONS),
        parallelism: settings.number("ARGON2_PARALLELISM", Cost::OWASP.parallelism, PARALLELISM),
    };
    if let Err(error) = cost.check() {
        settings.reject("ARGON2_MEMORY_KIB", error.to_string());
    }
    cost
}

#[cfg(test)]
mod tests {
    use chassis::{Sources, Vars};
    use types::ServiceName;

    use super::*;

    fn cost<const N: usize>(vars: [(&str, &str); N]) -> (Cost, Option<String>) {
        let sources = Sources { vars: Vars::from(vars), ..Sources::default() };
        let mut settings = Settings::new(ServiceName::new("user-service"), sources);
        let cost = password_cost(&mut settings);
        (cost, settings.finish().err().map(|errors| errors.to_string()))
    }

    #[test]
    fn the_cost_of_a_password_is_set_or_else_that_of_owasp() {
        assert_eq!(cost([]), (Cost::OWASP, None));
        let vars = [("ARGON2_MEMORY_KIB", "64"), ("ARGON2_ITERATIONS", "3"), ("ARGON2_PARALLELISM", "2")];
        let (set, wrong) = cost(vars);
        assert_eq!(set, Cost { memory_kib: 64, iterations: 3, parallelism: 2 });
        assert_eq!(wrong, None);
    }

    #[test]
    fn a_cost_that_argon2_cannot_meet_is_refused() {
        let wrong = cost([("ARGON2_MEMORY_KIB", "8"), ("ARGON2_PARALLELISM", "2")]).1.unwrap();
        assert!(wrong.contains("ARGON2_MEMORY_KIB") && wrong.contains("at least 8 KiB per lane"), "{wrong}");
        let wrong = cost([("ARGON2_MEMORY_KIB", "7"), ("ARGON2_ITERATIONS", "0")]).1.unwrap();
        assert!(wrong.contains("8 to 262144") && wrong.contains("1 to 16"), "{wrong}");
    }
}
