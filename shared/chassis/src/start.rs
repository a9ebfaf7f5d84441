use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use database::{Config, Database, Migration, OpenError};
use discovery::SetupError;
use runtime::Deadline;
use service_auth::{IdentityError, SpiffeId};

use crate::Platform;

/// Why a service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The identity that was mounted is none.
    #[error("taking up the service's identity")]
    Identity(#[from] IdentityError),
    /// The identity that was mounted is somebody else's.
    #[error("the certificate is made out to {mounted}, must be to {expected}")]
    OtherIdentity {
        /// Whom the certificate names.
        mounted: SpiffeId,
        /// Who this service is.
        expected: SpiffeId,
    },
    /// The certificate for the public is none.
    #[error("taking up the certificate for the public")]
    PublicCertificate(#[source] Box<IdentityError>),
    /// A port cannot be had.
    #[error("listening on {addr} ({listener})")]
    Listen {
        /// Which listener.
        listener: &'static str,
        /// The address it asked for.
        addr: SocketAddr,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The database cannot be had.
    #[error("opening {database}")]
    Database {
        /// Where it is, without secrets.
        database: String,
        /// Why not.
        #[source]
        source: OpenError,
    },
    /// Discovery cannot be asked with what was set.
    #[error(transparent)]
    Discovery(#[from] SetupError),
    /// The contracts that reflection is to show are no descriptor sets.
    #[error("reading the service's contracts")]
    Contract(#[from] tonic_reflection::server::Error),
    /// Something that only this service needs.
    #[error(transparent)]
    Other(Box<dyn Error + Send + Sync>),
}

impl StartError {
    /// Whether the same start may succeed later.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Listen { .. } => true,
            Self::Database { source, .. } => is_away(source),
            Self::Identity(_)
            | Self::OtherIdentity { .. }
            | Self::PublicCertificate(_)
            | Self::Discovery(_)
            | Self::Contract(_)
            | Self::Other(_) => false,
        }
    }
}

impl Platform {
    /// How long an unreachable database is tried before the start is given up: enough for one that starts at the
    /// same moment. Whoever supervises the process tries on.
    const PATIENCE: Duration = Duration::from_secs(8);
    /// The first pause between two tries; each is twice the one before.
    const FIRST_PAUSE: Duration = Duration::from_millis(250);

    /// Opens the service's database.
    ///
    /// # Errors
    /// [`StartError::Database`], after some tries where it was not reached.
    pub async fn open_database(
        &self,
        config: &Config,
        migrations: &[Migration],
    ) -> Result<Database, StartError> {
        // No try begins after it. One that has begun is not cut short: it may be migrating.
        let deadline = Deadline::within(Self::PATIENCE);
        let mut pause = Self::FIRST_PAUSE;
        loop {
            match Database::open(&self.env, &self.metrics, config, migrations).await {
                Ok(database) => return Ok(database),
                Err(error) if is_away(&error) && pause < deadline.remaining() => {
                    tracing::warn!(%error, ?pause, "the database is not reached yet");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(source) => {
                    return Err(StartError::Database { database: config.backend.to_string(), source });
                }
            }
        }
    }
}

fn is_away(error: &OpenError) -> bool {
    matches!(error, OpenError::Connect { .. } | OpenError::Record(_) | OpenError::Start(_))
}
