//! Whether an instance is ready, asked on behalf of an agent that cannot reach it.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use rustls::RootCertStore;
use serde::Serialize;

use super::agent::{AskError, SetupError, tls_config, whole};

/// What asks, for all instances of a process. It has nothing of the agent's client: the token is for the agent alone.
#[derive(Clone)]
pub(super) struct Asker(Client);

/// The place where one instance says whether it is ready.
pub(super) struct Readiness {
    client: Client,
    url: String,
}

/// What the agent is told of a check.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Verdict {
    status: Status,
    /// Why, for operators.
    output: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Passing,
    Warning,
    Critical,
}

impl Asker {
    pub(super) fn new() -> Result<Self, SetupError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls_config(RootCertStore::empty())?)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Readiness::PATIENCE)
            .build()?;
        Ok(Self(client))
    }

    pub(super) fn at(&self, addr: SocketAddr) -> Readiness {
        Readiness { client: self.0.clone(), url: Readiness::url(addr) }
    }
}

impl Readiness {
    /// The agent waits no longer where it asks itself.
    pub(super) const PATIENCE: Duration = Duration::from_secs(1);
    /// As much as the agent keeps (its `output_max_size`).
    const LONGEST: usize = 4 * 1024;

    /// What is asked for, by whomever.
    pub(super) fn url(addr: SocketAddr) -> String {
        format!("http://{addr}/health/ready")
    }

    /// What the agent would find by an HTTP check: any 2xx passes, 429 is a warning, all else fails.
    pub(super) async fn verdict(&self) -> Verdict {
        match self.ask().await {
            Ok((status, said)) => {
                let output = format!("{status}: {}", String::from_utf8_lossy(&said));
                Verdict { status: Status::of(status), output }
            }
            Err(error) => Verdict { status: Status::Critical, output: error.to_string() },
        }
    }

    async fn ask(&self) -> Result<(StatusCode, Vec<u8>), AskError> {
        let response = self.client.get(&self.url).send().await?;
        let status = response.status();
        Ok((status, whole(response, Self::LONGEST).await?))
    }
}

impl Verdict {
    /// Of an instance that says nothing of its readiness: it lives.
    pub(super) fn alive() -> Self {
        Self { status: Status::Passing, output: "it lives".to_owned() }
    }
}

impl Status {
    fn of(answer: StatusCode) -> Self {
        match answer {
            StatusCode::TOO_MANY_REQUESTS => Self::Warning,
            _ if answer.is_success() => Self::Passing,
            _ => Self::Critical,
        }
    }
}
