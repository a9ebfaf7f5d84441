//! How often somebody may ask one instance of the gateway; the instances do not tell each other.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use chassis::{Configure, Problem, Settings};
use resilience::{Entered, KeyedBulkhead, KeyedLimiter, Quota};
use runtime::Random;
use types::{ErrorClass, Network, UserId};

use crate::client::Client;

/// How often one address and one user may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    address: Allowance,
    user: Allowance,
    /// How many requests of one address may be under way.
    in_flight: usize,
    /// Whether this machine's own address has limits, too.
    loopback: bool,
}

/// So many requests in each second, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Allowance {
    rate: u32,
    burst: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            // An office or a mobile network behind one address, a few hundred people of whom each asks now and then.
            address: Allowance { rate: 200, burst: 1_000 },
            // A page that asks for dozens of things at once, several times over.
            user: Allowance { rate: 50, burst: 250 },
            // A fifth of what one instance of a service takes, and what an office asks for in half a second.
            in_flight: 100,
            loopback: false,
        }
    }
}

impl Configure for LimitsConfig {
    fn configure(settings: &mut Settings) -> Self {
        const ANY: RangeInclusive<u32> = 1..=1_000_000;
        const IN_FLIGHT: RangeInclusive<usize> = 1..=1_000_000;
        let default = Self::default();
        let mut read = |rate, burst, default: Allowance| Allowance {
            rate: settings.number(rate, default.rate, ANY),
            burst: settings.number(burst, default.burst, ANY),
        };
        Self {
            address: read("ADDRESS_RATE", "ADDRESS_BURST", default.address),
            user: read("USER_RATE", "USER_BURST", default.user),
            in_flight: settings.number("ADDRESS_IN_FLIGHT", default.in_flight, IN_FLIGHT),
            loopback: settings.boolean("LIMIT_LOOPBACK", default.loopback),
        }
    }
}

impl Allowance {
    fn quota(self) -> Quota {
        let [rate, burst] =
            [self.rate, self.burst].map(|number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN));
        Quota::per_second(rate, burst)
    }
}

/// Who has asked how often.
#[derive(Debug)]
pub(crate) struct Limits {
    addresses: KeyedLimiter<Network>,
    users: KeyedLimiter<UserId>,
    in_flight: KeyedBulkhead<Network>,
    loopback: bool,
}

/// Who owes something at the same time: 8 MiB of either at the most. A key that is forgotten is at its best again.
const MOST_KEYS: usize = 1 << 17;

impl Limits {
    pub(crate) fn new(config: &LimitsConfig, random: &Random) -> Self {
        Self {
            addresses: KeyedLimiter::new(config.address.quota(), MOST_KEYS, random),
            users: KeyedLimiter::new(config.user.quota(), MOST_KEYS, random),
            in_flight: KeyedBulkhead::new(config.in_flight),
            loopback: config.loopback,
        }
    }

    /// Before anything is done for a request.
    pub(crate) fn check_address(&self, client: Client) -> Result<(), Problem> {
        if !self.concerns(client) {
            return Ok(());
        }
        self.addresses.check(&Network::of(client.address)).map_err(Problem::from)
    }

    /// Once it is known whose request it is.
    pub(crate) fn check_user(&self, client: Client, user: UserId) -> Result<(), Problem> {
        if self.concerns(client) { self.users.check(&user).map_err(Problem::from) } else { Ok(()) }
    }

    /// Before a request takes up something of a service, which its client may then keep as long as it sends and reads
    /// slowly: until what this gives is dropped.
    pub(crate) fn enter(&self, client: Client) -> Result<Option<Entered<Network>>, Problem> {
        if !self.concerns(client) {
            return Ok(None);
        }
        self.in_flight.enter(&Network::of(client.address)).map(Some).ok_or_else(crowded)
    }

    /// What runs on this machine is whoever runs the platform, who tries it or measures it.
    fn concerns(&self, client: Client) -> bool {
        self.loopback || !client.is_local
    }
}

fn crowded() -> Problem {
    let detail = "too many requests of this address are under way";
    Problem::new(ErrorClass::TooMany, detail).with_retry_after(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chassis::{Sources, Vars};
    use types::{Id, ServiceName};
    use uuid::Uuid;

    use super::*;

    fn limits<const N: usize>(vars: [(&str, &str); N]) -> Limits {
        let sources = Sources { vars: Vars::from(vars), ..Sources::default() };
        let mut settings = Settings::new(ServiceName::new("api-gateway"), sources);
        let config = LimitsConfig::configure(&mut settings);
        settings.finish().unwrap();
        Limits::new(&config, &Random::seeded(1))
    }

    fn from(address: &str) -> Client {
        Client { address: address.parse().unwrap(), is_local: false }
    }

    fn user(number: u128) -> UserId {
        Id::from_uuid(Uuid::from_u128(number))
    }

    /// How many of `most` requests pass.
    fn passing(most: usize, check: impl Fn() -> Result<(), Problem>) -> usize {
        (0..most).filter(|_| check().is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_its_burst_and_then_its_rate_whatever_others_do() {
        let limits = limits([("ADDRESS_RATE", "10"), ("ADDRESS_BURST", "3")]);
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(from);
        assert_eq!(passing(9, || limits.check_address(one)), 3);
        let refused = limits.check_address(one).unwrap_err();
        assert_eq!(
            (refused.class(), refused.detail()),
            (ErrorClass::TooMany, "too often, the next time is in 1 s")
        );
        assert_eq!(passing(9, || limits.check_address(other)), 3);
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!(passing(9, || limits.check_address(one)), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_addresses_of_one_network_are_limited_together() {
        let limits = limits([("ADDRESS_BURST", "4")]);
        let clients = (0_u16..9).map(|last| from(&format!("2001:db8::{last:x}")));
        assert_eq!(clients.filter(|client| limits.check_address(*client).is_ok()).count(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_is_limited_wherever_from() {
        let limits = limits([("USER_BURST", "2")]);
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(from);
        assert_eq!(passing(1, || limits.check_user(one, user(1))), 1);
        assert_eq!(passing(9, || limits.check_user(other, user(1))), 1);
        assert_eq!(passing(9, || limits.check_user(one, user(2))), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn this_machine_has_limits_only_when_it_is_told_to() {
        let local = Client { is_local: true, ..from("127.0.0.1") };
        let unlimited = limits([("ADDRESS_BURST", "1"), ("USER_BURST", "1")]);
        assert_eq!(passing(5_000, || unlimited.check_address(local)), 5_000);
        assert_eq!(passing(5_000, || unlimited.check_user(local, user(1))), 5_000);
        let limited = limits([("ADDRESS_BURST", "1"), ("LIMIT_LOOPBACK", "true")]);
        assert_eq!(passing(9, || limited.check_address(local)), 1);
    }
}
