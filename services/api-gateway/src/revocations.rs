//! Access tokens that ended before their time.

mod following;

pub(crate) use self::following::Follower;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use service_auth::Claims;
use types::{SessionId, Timestamp, UserId};

/// The revocations that still matter, in bounded memory.
///
/// One is forgotten when the last token it is about has expired by itself. When there are too many, those that would be
/// forgotten first go early, and with them *every* token that ends no later: its owner has to refresh it a little
/// sooner, and no revoked one is taken for good.
#[derive(Debug)]
pub(crate) struct Revocations {
    most: usize,
    /// Whether anything was ever heard, if only that there are none.
    are_told: AtomicBool,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    subjects: HashMap<Subject, Revoked>,
    /// The same, the one first that is forgotten first.
    ends: BTreeSet<(Timestamp, Subject)>,
    /// No token that ends by then is taken.
    floor: Timestamp,
}

/// Whose tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Subject {
    /// Those of a login.
    Session(SessionId),
    /// Those of a user.
    User(UserId),
}

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Revoked {
    /// Those for an older version of the account.
    below_version: i64,
    /// Until when it matters.
    until: Timestamp,
}

/// Something that was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Revocation {
    pub(crate) subject: Subject,
    /// The first version of the account whose tokens stay; no version's do after the end of a session.
    pub(crate) below_version: i64,
    pub(crate) until: Timestamp,
}

impl Revocations {
    /// About 100 logouts in each second for as long as a revocation matters, 11 minutes, in 16 MiB.
    pub(crate) const MOST: usize = 1 << 16;

    /// None yet, and never more than `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, are_told: AtomicBool::new(false), known: RwLock::default() }
    }

    /// Whether it is known which tokens were revoked. Before, any may have been.
    pub(crate) fn are_known(&self) -> bool {
        self.are_told.load(Ordering::Acquire)
    }

    /// Whether a token that says this is to be taken no more.
    pub(crate) fn concern(&self, claims: &Claims) -> bool {
        let known = self.known();
        let is_below = |subject: Subject| {
            known.subjects.get(&subject).is_some_and(|revoked| claims.version < revoked.below_version)
        };
        claims.expires_at <= known.floor
            || is_below(Subject::Session(claims.session))
            || is_below(Subject::User(claims.user))
    }

    /// Takes in what was revoked, and forgets what does not matter any more.
    pub(crate) fn learn(&self, revocations: impl IntoIterator<Item = Revocation>, now: Timestamp) {
        let mut known = self.learning();
        for revocation in revocations {
            known.add(revocation);
        }
        known.forget_before(now);
        while known.subjects.len() > self.most {
            known.floor = known.forget_first().expect("there are too many").max(known.floor);
        }
        self.are_told.store(true, Ordering::Release);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.known().subjects.len()
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn learning(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Of two about one subject, what either says holds.
    fn add(&mut self, Revocation { subject, below_version, until }: Revocation) {
        let new = Revoked { below_version, until };
        let revoked = self.subjects.entry(subject).or_insert(new);
        self.ends.remove(&(revoked.until, subject));
        revoked.below_version = revoked.below_version.max(below_version);
        revoked.until = revoked.until.max(until);
        self.ends.insert((revoked.until, subject));
    }

    fn forget_before(&mut self, now: Timestamp) {
        while self.ends.first().is_some_and(|(until, _)| *until < now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) -> Option<Timestamp> {
        let (until, subject) = self.ends.pop_first()?;
        self.subjects.remove(&subject);
        Some(until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use types::{Id, Role};
    use uuid::Uuid;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn id<T>(number: u128) -> Id<T> {
        Id::from_uuid(Uuid::from_u128(number))
    }

    fn claims(user: u128, session: u128, version: i64, expires_at: Timestamp) -> Claims {
        Claims {
            user: id(user),
            session: id(session),
            role: Role::Customer,
            version,
            id: Uuid::nil(),
            issued_at: at(0),
            not_before: at(0),
            expires_at,
        }
    }

    fn session(number: u128, until: i64) -> Revocation {
        Revocation { subject: Subject::Session(id(number)), below_version: i64::MAX, until: at(until) }
    }

    fn user(number: u128, below_version: i64, until: i64) -> Revocation {
        Revocation { subject: Subject::User(id(number)), below_version, until: at(until) }
    }

    #[test]
    fn a_session_ends_alone_and_a_user_s_tokens_up_to_a_version() {
        let revocations = Revocations::new(10);
        revocations.learn([session(7, 600), user(2, 5, 600)], at(0));
        let is_revoked =
            |user, session, version| revocations.concern(&claims(user, session, version, at(500)));
        assert!(is_revoked(1, 7, 1) && !is_revoked(1, 8, 1));
        assert!(is_revoked(2, 9, 4) && !is_revoked(2, 9, 5));
    }

    #[test]
    fn of_two_revocations_the_further_reaching_holds_whichever_comes_last() {
        for order in [[user(1, 5, 300), user(1, 3, 600)], [user(1, 3, 600), user(1, 5, 300)]] {
            let revocations = Revocations::new(10);
            revocations.learn(order, at(0));
            revocations.learn([], at(400));
            assert_eq!(revocations.count(), 1);
            assert!(revocations.concern(&claims(1, 1, 4, at(590))));
        }
    }

    #[test]
    fn what_does_not_matter_any_more_is_forgotten() {
        let revocations = Revocations::new(10);
        revocations.learn([session(1, 100), session(2, 200)], at(50));
        assert_eq!(revocations.count(), 2);
        revocations.learn([], at(101));
        assert_eq!(revocations.count(), 1);
        revocations.learn([session(3, 150)], at(201));
        assert_eq!(revocations.count(), 0);
    }

    #[test]
    fn when_there_are_too_many_no_token_is_taken_that_may_have_been_revoked() {
        let revocations = Revocations::new(2);
        revocations.learn([session(1, 100), session(2, 200), session(3, 300)], at(0));
        assert_eq!(revocations.count(), 2);
        assert!(revocations.concern(&claims(9, 1, 1, at(100))), "the one that was forgotten");
        assert!(revocations.concern(&claims(9, 9, 1, at(99))), "somebody else's, who refreshes it");
        assert!(!revocations.concern(&claims(9, 9, 1, at(101))));
    }

    proptest! {
        /// However many there are and in whatever order they come: a revoked token is never taken again, and as long
        /// as there are not too many, no other is refused.
        #[test]
        fn a_revoked_token_stays_revoked(
            events in proptest::collection::vec((0_u128..8, 1_i64..4, 0_u64..600), 1..40),
            most in 1_usize..12,
        ) {
            let (revocations, mut now) = (Revocations::new(most), at(0));
            let mut revoked = Vec::new();
            for (number, version, wait) in events {
                now = now.after(Duration::from_secs(wait));
                // The last token of a version was made now, at the latest.
                let ends = now.after(Duration::from_secs(600));
                let until = ends.after(Duration::from_secs(1));
                let subject = Subject::User(id(number));
                revocations.learn([Revocation { subject, below_version: version, until }], now);
                revoked.push(claims(number, 99, version - 1, ends));
                prop_assert!(revocations.count() <= most);
                for token in revoked.iter().filter(|token| token.expires_at > now) {
                    prop_assert!(revocations.concern(token));
                }
                let stranger = claims(77, 99, 0, ends);
                prop_assert!(most < 8 || !revocations.concern(&stranger));
            }
        }
    }
}
