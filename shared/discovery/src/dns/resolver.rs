use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use runtime::{Deadline, Net, Random};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::message::{self, Answer, AnswerError, Family};

/// Asks the servers for the addresses of names.
pub(super) struct Resolver {
    net: Net,
    random: Random,
    servers: Vec<SocketAddr>,
}

/// The addresses of a name, and how long that holds.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) addresses: BTreeSet<IpAddr>,
    pub(super) lifetime: Duration,
}

/// Why a name's addresses are not known. Every server was asked, and this is what became of the last.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookUpError {
    #[error("asking {server}: {source}")]
    Ask { server: SocketAddr, source: io::Error },
    #[error("asking {server}: {source}")]
    Answer { server: SocketAddr, source: AnswerError },
    #[error("asking {0}: no answer in time")]
    Late(SocketAddr),
    #[error("there is no server to ask")]
    NoServer,
}

impl Resolver {
    /// A server is near, or keeps what is far.
    const PATIENCE: Duration = Duration::from_secs(2);

    pub(super) fn new(net: &Net, random: &Random, servers: Vec<SocketAddr>) -> Self {
        Self { net: net.clone(), random: random.clone(), servers }
    }

    /// The addresses of `host`, of both families.
    pub(super) async fn look_up(&self, host: &str) -> Result<Found, LookUpError> {
        let mut failed = LookUpError::NoServer;
        for &server in &self.servers {
            match Deadline::within(Self::PATIENCE).bound(self.ask_both(server, host)).await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(error)) => failed = error,
                Err(_elapsed) => failed = LookUpError::Late(server),
            }
        }
        Err(failed)
    }

    /// A server that knows nothing of one family is believed about the other where that has addresses.
    async fn ask_both(&self, server: SocketAddr, host: &str) -> Result<Found, LookUpError> {
        let (v4, v6) = tokio::join!(self.ask(server, host, Family::V4), self.ask(server, host, Family::V6));
        let told = match (v4, v6) {
            (Ok(v4), Ok(v6)) => vec![v4, v6],
            (Ok(one), Err(_)) | (Err(_), Ok(one)) if !one.addresses.is_empty() => vec![one],
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        let lifetimes =
            told.iter().filter(|answer| !answer.addresses.is_empty()).map(|answer| answer.lifetime);
        let lifetime = lifetimes.min().unwrap_or_default();
        let addresses = told.into_iter().flat_map(|answer| answer.addresses).collect();
        Ok(Found { addresses, lifetime })
    }

    async fn ask(&self, server: SocketAddr, host: &str, family: Family) -> Result<Answer, LookUpError> {
        let id = u16::from_be_bytes(self.random.bytes());
        let told = self.exchange(server, &message::question(id, host, family)).await;
        let told = told.map_err(|source| LookUpError::Ask { server, source })?;
        message::answer(id, family, &told).map_err(|source| LookUpError::Answer { server, source })
    }

    /// A message over TCP has its length before it (RFC 1035, section 4.2.2), which bounds the answer.
    async fn exchange(&self, server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
        let mut connection = self.net.dial(&server.to_string()).await?;
        let length = u16::try_from(question.len()).expect("a question is shorter than 300 bytes");
        // In one write: some servers read no further than the first segment.
        connection.write_all(&[&length.to_be_bytes(), question].concat()).await?;
        let mut told = vec![0; connection.read_u16().await?.into()];
        connection.read_exact(&mut told).await?;
        Ok(told)
    }
}
