use std::io;

use chassis::{Failure, Impatient};

use crate::data_dir::DataDirError;

/// Why a command ended other than in order.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Data(#[from] DataDirError),
    #[error(transparent)]
    Process(#[from] Failure),
}

impl Error {
    /// What the process answers to whoever started it.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Data(error) => error.code(),
            Self::Process(failure) => failure.code(),
        }
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
