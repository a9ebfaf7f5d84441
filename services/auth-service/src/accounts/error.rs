use service_client::CallError;
use tonic::Status;
use types::{Classify, ErrorClass, FieldError};

/// Why user-service did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountsError {
    /// It was asked for something that it keeps.
    #[error(transparent)]
    Reading(CallError),
    /// It was asked to change something.
    #[error(transparent)]
    Writing(CallError),
    /// It was asked, and its answer is none by the contract.
    #[error("user-service answered without {0}")]
    Answer(&'static str),
}

impl AccountsError {
    pub(super) fn reading(status: Status) -> Self {
        Self::Reading(status.into())
    }

    pub(super) fn writing(status: Status) -> Self {
        Self::Writing(status.into())
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.class() == ErrorClass::NotFound
    }

    /// It says that somebody has not proven to be the owner of an account.
    pub(crate) fn is_unproven(&self) -> bool {
        self.class() == ErrorClass::Unauthenticated
    }

    /// The fields that are wrong.
    pub(crate) fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Reading(error) | Self::Writing(error) => error.fields(),
            Self::Answer(_) => Vec::new(),
        }
    }
}

impl Classify for AccountsError {
    fn class(&self) -> ErrorClass {
        match self {
            // Whoever only reads changes nothing, answered or not.
            Self::Reading(error) if error.class() == ErrorClass::Unknown => ErrorClass::Unavailable,
            Self::Reading(error) | Self::Writing(error) => error.class(),
            Self::Answer(_) => ErrorClass::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn what_user_service_says_is_told_once() {
        for error in [AccountsError::reading, AccountsError::writing] {
            let error = error(Status::unavailable("the accounts cannot be read"));
            assert_eq!(error.to_string(), "the accounts cannot be read");
            assert!(error.source().is_none(), "{error:?}");
        }
    }
}
