//! How often a password may be guessed. Only failures count, in the memory of one replica: each has its own.
//!
//! An account is held to a limit of its own, or many addresses would guess at it together. Whoever guesses must not be
//! able to lock its owner out by that; therefore a network that somebody has logged in to the account from before is not
//! held to the account's limit, but to its own alone.
//!
//! An attempt is charged when it begins, to the account and to the network, and what turns out to be no wrong guess is
//! given back: guesses at once are no more than guesses one after the other, and whoever does not wait for the answer has
//! guessed all the same. Right passwords count until they have been checked, too, so that a network has as many logins
//! in flight as it has failures left: with the default of 50 that is more than an office begins at one moment.

use std::time::Duration;

use resilience::{KeyedLimiter, Quota, RetryAfter};
use runtime::Random;
use types::{Network, UserId};

use crate::config::Failures;
use crate::session::LoginName;

/// Some 1,400 a day: a password that is not a common one is not guessed by that.
const ACCOUNT_INTERVAL: Duration = Duration::from_secs(60);

/// A typing error in each is forgiven to ten people a minute behind one address.
const ADDRESS_INTERVAL: Duration = Duration::from_secs(6);

/// Four megabytes each, where as many guess at the same time. Then those that owe least are forgotten first.
const MOST_KEYS: usize = 65_536;

/// How often passwords may be guessed.
#[derive(Debug)]
pub(crate) struct Limits {
    accounts: KeyedLimiter<Account>,
    networks: KeyedLimiter<Network>,
}

/// By what an account is named that somebody guesses at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Account {
    Name(LoginName),
    Id(UserId),
}

impl Limits {
    pub(crate) fn new(failures: Failures, random: &Random) -> Self {
        let account = Quota::new(failures.per_account, ACCOUNT_INTERVAL);
        let network = Quota::new(failures.per_address, ADDRESS_INTERVAL);
        Self {
            accounts: KeyedLimiter::new(account, MOST_KEYS, random),
            networks: KeyedLimiter::new(network, MOST_KEYS, random),
        }
    }

    /// Lets somebody try to log in, or not. `is_known` tells whether the network has done so before, and is asked where
    /// it matters alone.
    pub(crate) async fn admit<E: From<RetryAfter>>(
        &self,
        name: LoginName,
        network: Network,
        is_known: impl AsyncFnOnce() -> Result<bool, E>,
    ) -> Result<Attempt<'_>, E> {
        self.networks.check(&network)?;
        let account = Account::Name(name);
        let charged = match self.accounts.check(&account) {
            Ok(()) => Ok(Some(account)),
            Err(too_often) => match is_known().await {
                Ok(true) => Ok(None),
                Ok(false) => Err(too_often.into()),
                Err(error) => Err(error),
            },
        };
        self.attempt(charged, network)
    }

    /// Lets a user who is logged in prove the password once more, or not.
    pub(crate) fn admit_user(&self, user: UserId, network: Network) -> Result<Attempt<'_>, RetryAfter> {
        self.networks.check(&network)?;
        let account = Account::Id(user);
        self.attempt(self.accounts.check(&account).map(|()| Some(account)), network)
    }

    /// The attempt of a network that is charged for it, which costs it nothing where the account refuses.
    fn attempt<E>(&self, charged: Result<Option<Account>, E>, network: Network) -> Result<Attempt<'_>, E> {
        let charged = charged.inspect_err(|_| self.networks.give_back(&network))?;
        Ok(Attempt { limits: self, charged, network })
    }
}

/// An attempt whose outcome is not known. It counts as a wrong guess unless it is forgiven.
#[derive(Debug)]
#[must_use]
pub(crate) struct Attempt<'a> {
    limits: &'a Limits,
    charged: Option<Account>,
    network: Network,
}

impl Attempt<'_> {
    /// It was no wrong guess, and costs nothing.
    pub(crate) fn forgiven(self) {
        self.limits.networks.give_back(&self.network);
        if let Some(account) = self.charged {
            self.limits.accounts.give_back(&account);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use types::Id;
    use uuid::Uuid;

    use super::*;

    const OFFICE: [u8; 4] = [192, 0, 2, 1];
    const HOME: [u8; 4] = [192, 0, 2, 2];

    fn limits(per_account: u32, per_address: u32) -> Limits {
        let [per_account, per_address] = [per_account, per_address].map(|it| NonZeroU32::new(it).unwrap());
        Limits::new(Failures { per_account, per_address }, &Random::seeded(1))
    }

    async fn admit<'a>(
        limits: &'a Limits,
        name: &str,
        from: [u8; 4],
        known: bool,
    ) -> Result<Attempt<'a>, RetryAfter> {
        limits.admit(LoginName::new(name), Network::of(from.into()), async || Ok(known)).await
    }

    /// How many of ten wrong guesses are let through.
    async fn guesses(limits: &Limits, name: &str, from: [u8; 4]) -> u32 {
        let mut admitted = 0;
        for _ in 0..10 {
            admitted += u32::from(admit(limits, name, from, false).await.is_ok());
        }
        admitted
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_is_guessed_at_a_few_times_and_then_once_in_a_while() {
        let limits = limits(3, 100);
        assert_eq!(guesses(&limits, "ada@example.com", OFFICE).await, 3);
        assert_eq!(guesses(&limits, "ADA@example.com", HOME).await, 0, "another address guesses at the same");
        assert_eq!(guesses(&limits, "grace@example.com", OFFICE).await, 3);
        let refused = admit(&limits, "ada@example.com", OFFICE, false).await.unwrap_err();
        assert_eq!(refused, RetryAfter(ACCOUNT_INTERVAL));
        tokio::time::advance(ACCOUNT_INTERVAL).await;
        assert_eq!(guesses(&limits, "ada@example.com", OFFICE).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_guesses_at_a_few_accounts_and_then_at_one_in_a_while() {
        let limits = limits(100, 3);
        assert_eq!(guesses(&limits, "ada@example.com", OFFICE).await, 3);
        assert_eq!(guesses(&limits, "grace@example.com", OFFICE).await, 0);
        assert_eq!(guesses(&limits, "grace@example.com", HOME).await, 3);
        tokio::time::advance(ADDRESS_INTERVAL).await;
        assert_eq!(guesses(&limits, "grace@example.com", OFFICE).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_owner_gets_in_from_where_the_owner_has_been_before() {
        let limits = limits(3, 5);
        guesses(&limits, "ada@example.com", OFFICE).await;
        assert!(admit(&limits, "ada@example.com", HOME, false).await.is_err());
        for _ in 0..5 {
            drop(admit(&limits, "ada@example.com", HOME, true).await.unwrap());
        }
        let own = admit(&limits, "ada@example.com", HOME, true).await;
        assert_eq!(own.map(drop), Err(RetryAfter(ADDRESS_INTERVAL)), "it has a limit of its own");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_no_wrong_guess_costs_nothing() {
        let limits = limits(1, 1);
        for _ in 0..10 {
            admit(&limits, "ada@example.com", OFFICE, false).await.unwrap().forgiven();
        }
        assert_eq!(guesses(&limits, "ada@example.com", OFFICE).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn guesses_at_once_are_no_more_than_one_after_the_other() {
        for limits in [limits(3, 100), limits(100, 3)] {
            let mut open = Vec::new();
            for _ in 0..10 {
                open.extend(admit(&limits, "ada@example.com", OFFICE, false).await.ok());
            }
            assert_eq!(open.len(), 3);
            drop(open);
            let refused = admit(&limits, "ada@example.com", OFFICE, false).await;
            assert!(refused.is_err(), "leaving takes nothing back");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_the_sake_of_the_account_costs_its_network_nothing() {
        let (limits, user, office) = (limits(1, 3), Id::from_uuid(Uuid::nil()), Network::of(OFFICE.into()));
        guesses(&limits, "ada@example.com", OFFICE).await;
        drop(limits.admit_user(user, office).unwrap());
        for _ in 0..10 {
            assert!(limits.admit_user(user, office).is_err());
            assert!(admit(&limits, "ada@example.com", OFFICE, false).await.is_err());
            let unread = limits
                .admit(LoginName::new("ada@example.com"), office, async || Err(RetryAfter(ACCOUNT_INTERVAL)));
            assert!(unread.await.is_err());
        }
        assert_eq!(guesses(&limits, "grace@example.com", OFFICE).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_who_is_logged_in_guesses_no_more_often() {
        let (limits, user) = (limits(3, 100), Id::from_uuid(Uuid::nil()));
        for _ in 0..3 {
            drop(limits.admit_user(user, Network::of(OFFICE.into())).unwrap());
        }
        let refused = limits.admit_user(user, Network::of(HOME.into()));
        assert_eq!(refused.map(drop), Err(RetryAfter(ACCOUNT_INTERVAL)));
    }
}
