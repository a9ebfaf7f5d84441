//! How often a password may be guessed. Only failures count, in the memory of one replica: each has its own.
//!
//! An account is held to a limit of its own, or many addresses would guess at it together. Whoever guesses must not be
//! able to lock its owner out by that; therefore a network that somebody has logged in to the account from before is not
//! held to the account's limit, but to its own alone.
//!
//! An attempt is charged when it begins, to the account and to the network, and what turns out to be no wrong guess is
//! given back: guesses at once are no more than guesses one after the other, and whoever does not wait for the answer has
//! guessed all the same. Right passwords cost nothing, at once as little as one after the other: where the attempts under
//! way have taken all that is left, the next waits until it is known what became of one of them.

mod charges;

use std::time::Duration;

use resilience::{Quota, RetryAfter};
use runtime::{Deadline, Random};
use types::{Network, UserId};

use self::charges::{Charge, Charges};
use crate::config::Failures;
use crate::session::LoginName;

/// Some 1,400 a day: a password that is not a common one is not guessed by that.
const ACCOUNT_INTERVAL: Duration = Duration::from_secs(60);

/// A typing error in each is forgiven to ten people a minute behind one address.
const ADDRESS_INTERVAL: Duration = Duration::from_secs(6);

/// How often passwords may be guessed.
#[derive(Debug)]
pub(crate) struct Limits {
    accounts: Charges<Account>,
    networks: Charges<Network>,
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
        Self { accounts: Charges::new(account, random), networks: Charges::new(network, random) }
    }

    /// Lets somebody try to log in, or not, and knows that by the `deadline`. `is_known` tells whether the network has
    /// done so before, and is asked where it matters alone.
    pub(crate) async fn admit<E: From<RetryAfter>>(
        &self,
        name: LoginName,
        network: Network,
        is_known: impl AsyncFnOnce() -> Result<bool, E>,
        deadline: Deadline,
    ) -> Result<Attempt<'_>, E> {
        let network = self.networks.charge(&network, deadline).await?;
        let account = Account::Name(name);
        let account = match self.accounts.try_charge(&account) {
            Ok(charge) => Some(charge),
            Err(_) if is_known().await? => None,
            Err(_) => Some(self.accounts.charge(&account, deadline).await?),
        };
        Ok(Attempt::begin(network, account))
    }

    /// Lets a user who is logged in prove the password once more, or not, and knows that by the `deadline`.
    pub(crate) async fn admit_user(
        &self,
        user: UserId,
        network: Network,
        deadline: Deadline,
    ) -> Result<Attempt<'_>, RetryAfter> {
        let network = self.networks.charge(&network, deadline).await?;
        let account = self.accounts.charge(&Account::Id(user), deadline).await?;
        Ok(Attempt::begin(network, Some(account)))
    }
}

/// An attempt whose outcome is not known. It counts as a wrong guess unless it is forgiven.
#[derive(Debug)]
#[must_use]
pub(crate) struct Attempt<'a> {
    network: Charge<'a, Network>,
    account: Option<Charge<'a, Account>>,
}

impl<'a> Attempt<'a> {
    fn begin(network: Charge<'a, Network>, account: Option<Charge<'a, Account>>) -> Self {
        let mut attempt = Self { network, account };
        attempt.counts(true);
        attempt
    }

    /// It was no wrong guess, and costs nothing.
    pub(crate) fn forgiven(mut self) {
        self.counts(false);
    }

    fn counts(&mut self, counts: bool) {
        self.network.stays = counts;
        if let Some(account) = &mut self.account {
            account.stays = counts;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use futures_util::future::join_all;
    use tokio::time::{Instant, sleep, timeout};
    use types::Id;
    use uuid::Uuid;

    use super::*;

    const OFFICE: [u8; 4] = [192, 0, 2, 1];
    const HOME: [u8; 4] = [192, 0, 2, 2];
    const SOON: Duration = Duration::from_secs(5);
    const ONE_CHECK: Duration = Duration::from_millis(10);

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
        let (name, network) = (LoginName::new(name), Network::of(from.into()));
        limits.admit(name, network, async || Ok(known), Deadline::within(SOON)).await
    }

    async fn admit_user(limits: &Limits, from: [u8; 4]) -> Result<Attempt<'_>, RetryAfter> {
        limits.admit_user(Id::from_uuid(Uuid::nil()), Network::of(from.into()), Deadline::within(SOON)).await
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
    async fn right_passwords_at_once_all_get_in() {
        for limits in [limits(1, 100), limits(100, 1)] {
            let log_in = || async {
                let attempt = admit(&limits, "ada@example.com", OFFICE, false).await?;
                sleep(ONE_CHECK).await;
                attempt.forgiven();
                Ok::<(), RetryAfter>(())
            };
            assert_eq!(join_all((0..300).map(|_| log_in())).await, [Ok(()); 300]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn guesses_at_once_are_no_more_than_one_after_the_other() {
        for limits in [limits(3, 100), limits(100, 3)] {
            let guess = || async {
                let attempt = admit(&limits, "ada@example.com", OFFICE, false).await;
                sleep(ONE_CHECK).await;
                attempt.is_ok()
            };
            let admitted = join_all((0..10).map(|_| guess())).await;
            assert_eq!(admitted.iter().filter(|it| **it).count(), 3, "leaving takes nothing back");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_others_is_refused_at_the_deadline() {
        let limits = limits(1, 100);
        let _open = admit(&limits, "ada@example.com", HOME, false).await.unwrap();
        let begun = Instant::now();
        let refused = admit(&limits, "ada@example.com", OFFICE, false).await.unwrap_err();
        assert_eq!((refused, begun.elapsed()), (RetryAfter(ACCOUNT_INTERVAL), SOON));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_before_its_turn_has_guessed_nothing() {
        let limits = limits(1, 1);
        let _open = admit(&limits, "ada@example.com", HOME, false).await.unwrap();
        let waits = admit(&limits, "ada@example.com", OFFICE, false);
        timeout(ONE_CHECK, waits).await.unwrap_err();
        assert_eq!(guesses(&limits, "grace@example.com", OFFICE).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_the_sake_of_the_account_costs_its_network_nothing() {
        let limits = limits(1, 3);
        guesses(&limits, "ada@example.com", OFFICE).await;
        drop(admit_user(&limits, OFFICE).await.unwrap());
        for _ in 0..10 {
            assert!(admit_user(&limits, OFFICE).await.is_err());
            assert!(admit(&limits, "ada@example.com", OFFICE, false).await.is_err());
            let (name, network) = (LoginName::new("ada@example.com"), Network::of(OFFICE.into()));
            let unread = async || Err(RetryAfter(ACCOUNT_INTERVAL));
            assert!(limits.admit(name, network, unread, Deadline::within(SOON)).await.is_err());
        }
        assert_eq!(guesses(&limits, "grace@example.com", OFFICE).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_who_is_logged_in_guesses_no_more_often() {
        let limits = limits(3, 100);
        for _ in 0..3 {
            drop(admit_user(&limits, OFFICE).await.unwrap());
        }
        let refused = admit_user(&limits, HOME).await;
        assert_eq!(refused.map(drop), Err(RetryAfter(ACCOUNT_INTERVAL)));
    }
}
