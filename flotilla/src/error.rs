use std::io;

use chassis::{Failure, Impatient};
use types::{Classify as _, ErrorClass};

use crate::data_dir::DataDirError;
use crate::instances::UnknownError;
use crate::operations::InstanceError;
use crate::operator::NoIdentityError;
use crate::password::PasswordError;
use crate::refusal::Refusal;

/// Why a command ended other than in order.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Data(#[from] DataDirError),
    #[error(transparent)]
    Process(#[from] Failure),
    #[error(transparent)]
    NoIdentity(#[from] NoIdentityError),
    #[error(transparent)]
    Nobody(#[from] UnknownError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error(transparent)]
    Call(#[from] Refusal),
    #[error("ended by Ctrl-C")]
    Interrupted,
}

impl Error {
    /// What the process answers to whoever started it.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Data(error) => error.code(),
            Self::Process(failure) => failure.code(),
            Self::NoIdentity(_) => Failure::USAGE,
            Self::Nobody(
                UnknownError::LookUp { .. }
                | UnknownError::Read { .. }
                | UnknownError::NoAnswer(_)
                | UnknownError::NoInstance,
            ) => Failure::UNAVAILABLE,
            Self::Nobody(UnknownError::Damaged { .. }) => Failure::SOFTWARE,
            Self::Nobody(UnknownError::Nobody(_) | UnknownError::NoneOf(_)) => Failure::USAGE,
            Self::Password(PasswordError::Read(_)) => Failure::UNAVAILABLE,
            Self::Password(_) => Failure::USAGE,
            Self::Instance(error) => code_of(error.source.class()),
            Self::Call(error) => code_of(error.class()),
            Self::Interrupted => Failure::SIGNAL,
        }
    }
}

/// What a refusal means to whoever typed the command: whether the same may succeed later, or never will.
fn code_of(class: ErrorClass) -> u8 {
    match class {
        ErrorClass::Invalid
        | ErrorClass::Unauthenticated
        | ErrorClass::Forbidden
        | ErrorClass::NotFound
        | ErrorClass::TooLarge => Failure::USAGE,
        ErrorClass::Conflict
        | ErrorClass::Precondition
        | ErrorClass::TooMany
        | ErrorClass::Unavailable
        | ErrorClass::Unknown => Failure::UNAVAILABLE,
        ErrorClass::Internal => Failure::SOFTWARE,
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Failure::from(error).into()
    }
}

impl From<Impatient> for Error {
    fn from(impatient: Impatient) -> Self {
        Failure::from(impatient).into()
    }
}
