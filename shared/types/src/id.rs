use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use uuid::Uuid;

/// The identity of one `T`: a UUID that cannot be mistaken for the identity of something else.
///
/// New ids come from the runtime's `Ids` (UUIDv7, RFC 9562), so that they sort by the time of their making.
pub struct Id<T>(Uuid, PhantomData<fn() -> T>);

/// A customer's or operator's account; it has no values, it only tells ids apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {}

/// The id of an account.
pub type UserId = Id<User>;

/// A user's login on one device, from the first password check to the last refresh; it only tells ids apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {}

/// The id of a session.
pub type SessionId = Id<Session>;

/// The text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID such as 0190b3c8-7c5e-7000-8000-000000000000")]
pub struct IdError;

impl<T> Id<T> {
    /// Takes a UUID for the id of a `T`; the caller vouches for it.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    /// The UUID itself, for storage and the wire.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl<T> FromStr for Id<T> {
    type Err = IdError;

    /// Reads the hyphenated form only, in either case: other spellings of one id would defeat caches and logs.
    fn from_str(text: &str) -> Result<Self, IdError> {
        const HYPHENATED: usize = 36;
        if text.len() != HYPHENATED {
            return Err(IdError);
        }
        Uuid::try_parse(text).map(Self::from_uuid).or(Err(IdError))
    }
}

impl<T> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// Written out because a derive would ask the same of `T`, which is only a name.
impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Id<T> {}

impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_as_it_was_written() {
        let id: UserId = "0190b3c8-7c5e-7000-8000-00000000000a".parse().unwrap();
        assert_eq!(id.to_string(), "0190b3c8-7c5e-7000-8000-00000000000a");
    }

    #[test]
    fn other_spellings_of_a_uuid_are_refused() {
        for text in ["", "0190b3c87c5e70008000000000000000", "{0190b3c8-7c5e-7000-8000-000000000000}", "me"] {
            assert_eq!(text.parse::<UserId>(), Err(IdError), "{text}");
        }
    }
}
