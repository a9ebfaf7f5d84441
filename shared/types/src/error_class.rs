use std::error::Error;
use std::time::Duration;

/// What an error means to the caller, the same in every service and over every transport.
///
/// The set is closed: a caller decides by the class alone whether to retry, and each transport translates
/// it in exactly one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The request is wrong in itself and will be wrong again.
    Invalid,
    /// The caller did not say, or could not prove, who it is.
    Unauthenticated,
    /// The caller is known and may not do this.
    Forbidden,
    /// The thing asked for does not exist.
    NotFound,
    /// The request contradicts what is there, such as a name that is taken.
    Conflict,
    /// The caller's picture of the thing (a version, an `ETag`) is out of date.
    Precondition,
    /// The request is larger than its bound.
    TooLarge,
    /// The caller asks too often.
    TooMany,
    /// It did not happen; the same request may succeed later.
    Unavailable,
    /// It may have happened.
    Unknown,
    /// A fault of ours, of which the caller learns nothing but the request's id.
    Internal,
}

impl ErrorClass {
    /// Every class, for tables and for the tests that go over all of them.
    pub const ALL: [Self; 11] = [
        Self::Invalid,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::Precondition,
        Self::TooLarge,
        Self::TooMany,
        Self::Unavailable,
        Self::Unknown,
        Self::Internal,
    ];

    /// The class's name on metrics and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Precondition => "precondition",
            Self::TooLarge => "too_large",
            Self::TooMany => "too_many",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
            Self::Internal => "internal",
        }
    }
}

/// An error that knows what it means to the caller.
pub trait Classify: Error {
    /// The class a transport answers with.
    fn class(&self) -> ErrorClass;

    /// How long the caller should wait before it asks again, where that is known.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}
