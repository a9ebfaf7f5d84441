//! Which access tokens are not to be taken any more, though they have not expired.

use std::time::Duration;

use types::{SessionId, Timestamp, UserId};
use uuid::Uuid;

use crate::session::ACCESS_LIFETIME;

/// How much longer than the longest access token a revocation matters: the clocks of replicas differ, and a batch that
/// makes a token may wait as long as a request lasts.
const MARGIN: Duration = Duration::from_secs(60);

/// Access tokens that are not to be taken any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revocation {
    /// Tells it from others, and from itself when it comes again.
    pub(crate) id: Uuid,
    /// When it was written, by the clock of the replica that wrote it.
    pub(crate) recorded_at: Timestamp,
    /// Which tokens.
    pub(crate) subject: Subject,
    /// Until when it matters.
    pub(crate) until: Timestamp,
}

/// Which access tokens are revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Those of a session.
    Session(SessionId),
    /// Those of a user that were made for an older version of the account than this one.
    User(UserId, i64),
}

/// Until when what is revoked at `now` matters: no token that was made before lasts longer.
pub(crate) fn matters_until(now: Timestamp) -> Timestamp {
    now.after(ACCESS_LIFETIME + MARGIN)
}

/// Since when a session must have been used for a token of it to be good at `now`.
pub(crate) fn has_tokens_since(now: Timestamp) -> Timestamp {
    now.before(ACCESS_LIFETIME + MARGIN)
}
