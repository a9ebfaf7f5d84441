//! What a session is and how long it lasts. Pure and total: no I/O, no clock.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use types::{Email, Network, SessionId, Timestamp, UserId, is_control};

/// How long an access token is good. What it says of its user is true for as long at the most, wherever revocations do
/// not arrive.
pub(crate) const ACCESS_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// How many sessions a user has: more than anybody has devices. The oldest ends for a new one.
pub(crate) const MOST_SESSIONS: u32 = 100;

/// A user's login on one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// In every access token of it, and in no other.
    pub(crate) id: SessionId,
    /// Whose it is.
    pub(crate) user: UserId,
    /// The account's version when the password was proven. A change of the password ends sessions of older versions.
    pub(crate) version: i64,
    /// When the password was proven.
    pub(crate) created_at: Timestamp,
    /// When the last access token was made.
    pub(crate) used_at: Timestamp,
    /// When it ends unless it is used before.
    pub(crate) expires_at: Timestamp,
    /// From where it began.
    pub(crate) origin: Origin,
}

/// From where somebody logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The client's address.
    pub(crate) address: IpAddr,
    /// What the client says that it is.
    pub(crate) user_agent: UserAgent,
}

impl Origin {
    /// Where it belongs to.
    pub(crate) fn network(&self) -> Network {
        Network::of(self.address)
    }
}

/// What a client says that it is; for its user to recognise, and for nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UserAgent(String);

impl UserAgent {
    /// The names of browsers are about 120 bytes long.
    const LONGEST: usize = 256;

    /// What there is of it, without what a terminal or a page would act on.
    pub(crate) fn new(header: &[u8]) -> Self {
        let text = String::from_utf8_lossy(header);
        let shown = text.chars().filter(|&character| !is_control(character)).collect::<String>();
        Self(shown[..shown.floor_char_boundary(Self::LONGEST)].to_owned())
    }

    /// One that was kept.
    pub(crate) fn kept(text: String) -> Self {
        Self(text)
    }

    /// Its text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// How long sessions last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// From the proof of the password on, however much it is used.
    pub absolute: Duration,
    /// From one use to the next.
    pub idle: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        // A month until the password is asked for again; a week in which a device that was lost is still logged in.
        Self { absolute: DAY * 30, idle: DAY * 7 }
    }
}

impl Lifetimes {
    /// When a session that began at `created_at` and is used at `now` ends unless it is used again.
    pub(crate) fn expiry(self, created_at: Timestamp, now: Timestamp) -> Timestamp {
        created_at.after(self.absolute).min(now.after(self.idle))
    }
}

/// The address that somebody logs in with, as a hash: for recognising it, not for reading.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LoginName([u8; 32]);

impl LoginName {
    /// The same for every spelling of an address. What is no address has one as well, so that it is treated alike.
    pub(crate) fn new(text: &str) -> Self {
        let email = text.parse::<Email>();
        let folded = email.as_ref().map_or(text, Email::as_str);
        let hash = digest(&SHA256, folded.as_bytes());
        Self(hash.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// For storage.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for LoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginName(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_not_used_and_at_last_in_any_case() {
        let hours = |hours: u64| Duration::from_secs(hours * 60 * 60);
        let (lifetimes, start) = (Lifetimes { absolute: hours(10), idle: hours(2) }, Timestamp::default());
        assert_eq!(lifetimes.expiry(start, start), start.after(hours(2)));
        assert_eq!(lifetimes.expiry(start, start.after(hours(7))), start.after(hours(9)));
        assert_eq!(lifetimes.expiry(start, start.after(hours(9))), start.after(hours(10)));
    }

    #[test]
    fn a_login_name_is_one_for_every_spelling() {
        assert_eq!(LoginName::new("ADA@example.com"), LoginName::new("ada@example.com"));
        assert_ne!(LoginName::new("ada@example.com"), LoginName::new("ada@example.org"));
        assert_ne!(LoginName::new("ada"), LoginName::new(""));
    }

    #[test]
    fn of_a_user_agent_the_beginning_is_kept_and_nothing_that_acts() {
        assert_eq!(UserAgent::new(b"curl/8.5\x1b[31m\0").as_str(), "curl/8.5[31m");
        assert_eq!(UserAgent::new("a\u{202E}b\u{2066}c\u{2028}d".as_bytes()).as_str(), "abcd");
        assert_eq!(UserAgent::new("é".repeat(1_000).as_bytes()).as_str(), "é".repeat(128));
        assert_eq!(UserAgent::new(b"\xff").as_str(), "\u{fffd}");
    }
}
