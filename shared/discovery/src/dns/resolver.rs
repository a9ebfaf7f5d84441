use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
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
    pub(super) v4: Option<Vec<IpAddr>>,
    pub(super) v6: Option<Vec<IpAddr>>,
    pub(super) lifetime: Duration,
    /// Why there is nothing of one family, about which the server gave no answer.
    pub(super) failed: Option<LookUpError>,
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
    #[error("asking {0}: it leads on to somebody else, and does not ask there itself")]
    LeadsOn(SocketAddr),
    #[error("there is no server to ask")]
    NoServer,
}

/// What came of one question.
type Asked = Result<Answer, LookUpError>;

impl Resolver {
    /// A server is near, or keeps what is far.
    const PATIENCE: Duration = Duration::from_secs(2);
    /// Where it has told the addresses of one family, those of the other come about as soon or not at all: some drop the
    /// questions for AAAA.
    const PATIENCE_WITH_SECOND: Duration = Duration::from_millis(500);

    pub(super) fn new(net: &Net, random: &Random, servers: Vec<SocketAddr>) -> Self {
        Self { net: net.clone(), random: random.clone(), servers }
    }

    /// The addresses of `host`, of both families.
    pub(super) async fn look_up(&self, host: &str) -> Result<Found, LookUpError> {
        let mut failed = LookUpError::NoServer;
        for &server in &self.servers {
            match self.ask_both(server, host).await {
                Ok(found) => return Ok(found),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// A server that gives no answer about one family is believed about the other where that has addresses.
    async fn ask_both(&self, server: SocketAddr, host: &str) -> Result<Found, LookUpError> {
        let told = self.answers(server, host).await;
        let lifetimes =
            [&told.0, &told.1].into_iter().flatten().filter(|answer| !answer.addresses.is_empty());
        let lifetime = lifetimes.map(|answer| answer.lifetime).min();
        let found = |v4, v6, failed| Found { v4, v6, failed, lifetime: lifetime.unwrap_or_default() };
        match told {
            (Ok(v4), Ok(v6)) if lifetime.is_none() && (v4.leads_on || v6.leads_on) => {
                Err(LookUpError::LeadsOn(server))
            }
            (Ok(v4), Ok(v6)) => Ok(found(Some(v4.addresses), Some(v6.addresses), None)),
            (Ok(v4), Err(error)) if lifetime.is_some() => Ok(found(Some(v4.addresses), None, Some(error))),
            (Err(error), Ok(v6)) if lifetime.is_some() => Ok(found(None, Some(v6.addresses), Some(error))),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// What the server says of each family.
    async fn answers(&self, server: SocketAddr, host: &str) -> (Asked, Asked) {
        let mut v4 = pin!(self.ask(server, host, Family::V4));
        let mut v6 = pin!(self.ask(server, host, Family::V6));
        let late = |_elapsed| Err(LookUpError::Late(server));
        tokio::select! {
            biased;
            v4 = &mut v4 => {
                let v6 = Self::patience_after(&v4).bound(v6).await.unwrap_or_else(late);
                (v4, v6)
            }
            v6 = &mut v6 => {
                let v4 = Self::patience_after(&v6).bound(v4).await.unwrap_or_else(late);
                (v4, v6)
            }
        }
    }

    fn patience_after(first: &Asked) -> Deadline {
        let has_some = first.as_ref().is_ok_and(|answer| !answer.addresses.is_empty());
        Deadline::within(if has_some { Self::PATIENCE_WITH_SECOND } else { Self::PATIENCE })
    }

    async fn ask(&self, server: SocketAddr, host: &str, family: Family) -> Asked {
        let id = u16::from_be_bytes(self.random.bytes());
        let question = message::question(id, host, family);
        let told = Deadline::within(Self::PATIENCE).bound(self.exchange(server, &question)).await;
        let told = told
            .map_err(|_elapsed| LookUpError::Late(server))?
            .map_err(|source| LookUpError::Ask { server, source })?;
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
