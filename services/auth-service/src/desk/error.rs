use database::{CommitError, ReadError};
use resilience::RetryAfter;
use types::{Classify, ErrorClass, FieldError, UserId};

use crate::accounts::AccountsError;

/// Why somebody was not logged in or out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeskError {
    #[error("the e-mail address and the password do not belong together")]
    WrongCredentials,
    #[error("the current password is another one")]
    WrongPassword,
    #[error("the refresh token is not good, or not any more")]
    BadToken,
    #[error("the session has ended")]
    Ended,
    #[error("there is no such session")]
    NoSuchSession,
    #[error("too many wrong passwords; the next try is in {} s", .0.seconds())]
    TooOften(#[from] RetryAfter),
    #[error("the account or the session has changed at the same moment")]
    Crowded,
    #[error(
        "account {user} has version {version} and has had {least_version}: the database of user-service was put back to \
         what it was before, and the account's sessions begin and go on when its version is as high again"
    )]
    PutBack { user: UserId, version: i64, least_version: i64 },
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    #[error("the sessions cannot be read")]
    Read(#[from] ReadError),
    #[error("the sessions cannot be written")]
    Commit(#[from] CommitError),
    #[error("the password is changed, and the other sessions end as soon as that can be written")]
    Unfinished(#[source] CommitError),
}

impl Classify for DeskError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::WrongCredentials | Self::BadToken | Self::Ended => ErrorClass::Unauthenticated,
            Self::WrongPassword => ErrorClass::Invalid,
            Self::NoSuchSession => ErrorClass::NotFound,
            Self::TooOften(error) => error.class(),
            Self::Crowded => ErrorClass::Unavailable,
            Self::PutBack { .. } => ErrorClass::Internal,
            Self::Accounts(error) => error.class(),
            Self::Read(error) => error.class(),
            // Constraints repeat what the types promise.
            Self::Commit(CommitError::Constraint(_) | CommitError::Count { .. }) => ErrorClass::Internal,
            Self::Commit(error) => error.class(),
            Self::Unfinished(_) => ErrorClass::Unknown,
        }
    }
}

impl DeskError {
    /// The fields that are wrong.
    pub(crate) fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::WrongPassword => vec![FieldError::of("current_password", "is another one")],
            Self::Accounts(error) => error.fields(),
            _ => Vec::new(),
        }
    }
}
