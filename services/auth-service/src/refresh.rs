//! What becomes of a refresh token that is presented: the whole rule, as a pure function.
//!
//! A token is good once. When the answer is lost on the way, its client has nothing but the old token; therefore an
//! old one is good once more, within [`GRACE`] of its use and while nobody has used the one that took its place. That
//! one is void from then on. Every other use of an old or void token means that two have it, of whom one has stolen it,
//! and ends the session.

use std::time::Duration;

use types::{SessionId, Timestamp, UserId};

use crate::refresh_token::TokenHash;

/// A client that lost its connection asks again within seconds.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// What a refresh may take, its commit included. Whoever is not granted anything by then hears so, and has as long again
/// to ask once more: nobody is taken for a thief who waited for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A refresh token that somebody presents, as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Presented {
    /// By what it is known.
    pub(crate) token: TokenHash,
    /// What became of it; nothing while it is new.
    pub(crate) spent: Option<Spent>,
    /// Its session.
    pub(crate) session: SessionId,
    /// Whose that is.
    pub(crate) user: UserId,
    /// When that began.
    pub(crate) created_at: Timestamp,
    /// When that ends unless it is used before.
    pub(crate) expires_at: Timestamp,
    /// Whether that has been ended.
    pub(crate) ended: bool,
}

/// A refresh token's first use, or the end of one that was void before anybody used it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    /// When.
    pub(crate) at: Timestamp,
    /// What took its place; nothing took that of a void one.
    pub(crate) successor: Option<Successor>,
    /// Whether it has been good once more already.
    pub(crate) again: bool,
}

/// The token that took the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Successor {
    /// By what it is known.
    pub(crate) token: TokenHash,
    /// Whether somebody has used it.
    pub(crate) used: bool,
}

/// What becomes of the presented token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// A new token takes its place.
    Rotate,
    /// The answer may have been lost: a new token takes the place of this one, which nobody has used.
    RotateAgain(TokenHash),
    /// Two have it.
    Reused,
    /// Its session is over.
    Over,
}

/// What becomes of `presented` at `now`.
pub(crate) fn rule(presented: &Presented, now: Timestamp) -> Ruling {
    if presented.ended || now >= presented.expires_at {
        return Ruling::Over;
    }
    match presented.spent {
        None => Ruling::Rotate,
        Some(Spent { at, successor: Some(Successor { token, used: false }), again: false })
            if now.since(at) <= GRACE =>
        {
            Ruling::RotateAgain(token)
        }
        Some(_) => Ruling::Reused,
    }
}

#[cfg(test)]
mod tests {
    use runtime::Random;
    use types::Id;
    use uuid::Uuid;

    use super::*;
    use crate::refresh_token::RefreshToken;

    const START: Timestamp = Timestamp::from_micros(1_785_000_000_000_000);
    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn token(seed: u64) -> TokenHash {
        RefreshToken::generate(&Random::seeded(seed)).hash()
    }

    fn presented(spent: Option<Spent>) -> Presented {
        Presented {
            token: token(1),
            spent,
            session: Id::from_uuid(Uuid::from_u128(1)),
            user: Id::from_uuid(Uuid::from_u128(2)),
            created_at: START,
            expires_at: START.after(HOUR),
            ended: false,
        }
    }

    fn spent() -> Spent {
        Spent { at: START, successor: Some(Successor { token: token(2), used: false }), again: false }
    }

    #[test]
    fn a_new_token_is_good() {
        assert_eq!(rule(&presented(None), START), Ruling::Rotate);
    }

    #[test]
    fn a_token_whose_answer_may_be_lost_is_good_once_more_and_its_successor_is_void() {
        for passed in [Duration::ZERO, GRACE] {
            let again = rule(&presented(Some(spent())), START.after(passed));
            assert_eq!(again, Ruling::RotateAgain(token(2)));
        }
        // The clock of another replica may be behind.
        assert_eq!(rule(&presented(Some(spent())), START.before(HOUR)), Ruling::RotateAgain(token(2)));
    }

    #[test]
    fn whoever_waits_for_the_answer_as_long_as_it_may_take_has_as_long_again_to_ask_once_more() {
        assert!(PATIENCE * 2 <= GRACE);
    }

    #[test]
    fn every_other_use_of_an_old_token_means_that_two_have_it() {
        let used = Successor { token: token(2), used: true };
        let cases = [
            ("too late", spent(), GRACE + Duration::from_micros(1)),
            ("its successor was used", Spent { successor: Some(used), ..spent() }, Duration::ZERO),
            ("a third time", Spent { again: true, ..spent() }, Duration::ZERO),
            ("it is void", Spent { successor: None, ..spent() }, Duration::ZERO),
        ];
        for (why, spent, passed) in cases {
            assert_eq!(rule(&presented(Some(spent)), START.after(passed)), Ruling::Reused, "{why}");
        }
    }

    #[test]
    fn of_a_session_that_is_over_no_token_is_good_and_none_tells_anything() {
        for spent in [None, Some(spent()), Some(Spent { again: true, ..spent() })] {
            let ended = Presented { ended: true, ..presented(spent) };
            assert_eq!(rule(&ended, START), Ruling::Over);
            assert_eq!(rule(&presented(spent), START.after(HOUR)), Ruling::Over);
        }
    }
}
