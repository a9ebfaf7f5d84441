use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use types::ServiceName;

use super::catalogue::{Entry, Index};
use super::config::{ConsulConfig, ConsulTls, Credentials, Reread};
use super::readiness::Verdict;

const INDEX: HeaderName = HeaderName::from_static("x-consul-index");
const TOKEN: HeaderName = HeaderName::from_static("x-consul-token");

/// The HTTP API of one agent.
pub(super) struct Agent {
    current: Mutex<Current>,
    reread: Option<Reread>,
    base: String,
    datacenter: Option<String>,
    tag: Option<String>,
}

/// The credentials that are used now.
struct Current {
    client: Client,
    credentials: Credentials,
}

/// There can be no client with these settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The token holds what no header may.
    #[error("the token of Consul holds characters that cannot be sent")]
    Token,
    /// The client cannot be made.
    #[error("making the client for Consul")]
    Client(#[from] reqwest::Error),
    /// The TLS library has not what is needed.
    #[error("making the TLS client for Consul")]
    Tls(#[from] rustls::Error),
}

/// Why the agent gave no good answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// It was not reached, or stopped answering.
    #[error("{}", chain(.0))]
    Away(#[from] reqwest::Error),
    /// It refused.
    #[error("answered {}", told(*.0, .1))]
    Refused(StatusCode, String),
    /// It knows no such datacentre.
    #[error("CONSUL_DATACENTER is {asked:?}, must be a datacentre that the agent knows: {}", .known.join(", "))]
    NoSuchDatacentre { asked: String, known: Vec<String> },
    /// It said more than fits.
    #[error("answered with more than {0} bytes")]
    TooLong(usize),
    /// What it said cannot be read.
    #[error("answered what cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// It did not say which state its answer is of.
    #[error("answered without an index")]
    NoIndex,
}

/// reqwest's own text leaves out the cause.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn told(status: StatusCode, said: &str) -> String {
    /// Consul answers a refusal with a line.
    const SHOWN: usize = 200;
    let said: String = said.trim().chars().take(SHOWN).filter(|c| !c.is_control()).collect();
    let said = if said.is_empty() { status.to_string() } else { format!("{status} ({said})") };
    if is_about_token(status) {
        return format!("{said}: CONSUL_TOKEN must be a token that may do this");
    }
    said
}

fn is_about_token(status: StatusCode) -> bool {
    status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN
}

impl Agent {
    /// How long a query waits for a change. Short, so that an agent which has fallen silent is noticed.
    pub(super) const WAIT: Duration = Duration::from_secs(10);
    /// Consul adds up to a sixteenth of the wait, and both sides need some time to read and write.
    const PATIENCE_WITH_WAIT: Duration = Duration::from_millis(10_000 + 10_000 / 16 + 2_000);
    /// What answers at once takes no longer than this unless the agent is as good as away.
    const PATIENCE: Duration = Duration::from_secs(3);
    /// The agent is near: on this machine, or in this network.
    const CONNECT: Duration = Duration::from_secs(2);
    /// Connections kept for the next query: a watch has one of its own, and a process watches a few services.
    const IDLE: usize = 16;
    /// A thousand instances take about a mebibyte.
    const LONGEST: usize = 16 * 1024 * 1024;

    pub(super) fn new(config: &ConsulConfig) -> Result<Self, SetupError> {
        let ConsulConfig { host, port, token, tls, reread, datacenter, tag, .. } = config;
        let credentials = Credentials { token: token.clone(), tls: tls.clone() };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let host =
            if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.clone() };
        let base = format!("{scheme}://{host}:{port}");
        let (datacenter, tag, reread) = (datacenter.clone(), tag.clone(), reread.clone());
        let current = Mutex::new(Current { client: Self::client(&credentials)?, credentials });
        Ok(Self { current, reread, base, datacenter, tag })
    }

    fn client(credentials: &Credentials) -> Result<Client, SetupError> {
        let mut headers = HeaderMap::new();
        if let Some(token) = &credentials.token {
            let mut value =
                HeaderValue::from_str(token.expose_secret()).map_err(|_invalid| SetupError::Token)?;
            value.set_sensitive(true);
            headers.insert(TOKEN, value);
        }
        let roots = credentials.tls.as_ref().map(|ConsulTls(roots)| roots.clone());
        let client = Client::builder()
            .default_headers(headers)
            .tls_backend_preconfigured(tls_config(roots.unwrap_or_else(RootCertStore::empty))?)
            // The agent is asked by its own address, whatever this machine's way to the web is.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Self::CONNECT)
            .pool_max_idle_per_host(Self::IDLE)
            .build()?;
        Ok(client)
    }

    /// Reads the credentials again where `error` says that they may be old. What is asked next is asked with those.
    pub(super) fn reconsider(&self, error: &AskError) {
        let may_be_old = match error {
            AskError::Refused(status, _) => is_about_token(*status),
            AskError::Away(error) => error.is_connect(),
            _ => false,
        };
        let Some(read) = self.reread.as_ref().filter(|_| may_be_old).and_then(Reread::read) else { return };
        let mut current = self.current();
        if read == current.credentials {
            return;
        }
        match Self::client(&read) {
            Ok(client) => {
                tracing::info!("the credentials for Consul have changed");
                *current = Current { client, credentials: read };
            }
            Err(error) => tracing::warn!(%error, "the new credentials for Consul cannot be used"),
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The healthy instances of `service`, once that is another answer than the one of `index`, or after
    /// [`Agent::WAIT`].
    pub(super) async fn healthy(
        &self,
        service: &ServiceName,
        index: Index,
    ) -> Result<(Index, Vec<Entry>), AskError> {
        let mut query = vec![("passing", "true".to_owned()), ("wait", format!("{}s", Self::WAIT.as_secs()))];
        query.extend(index.asked().map(|index| ("index", index)));
        query.extend(self.datacenter.clone().map(|name| ("dc", name)));
        query.extend(self.tag.clone().map(|tag| ("tag", tag)));
        let request = self.request(Method::GET, &format!("/v1/health/service/{service}")).query(&query);
        let patience = if index.waits() { Self::PATIENCE_WITH_WAIT } else { Self::PATIENCE };
        let response = match good(request.timeout(patience).send().await?).await {
            Ok(response) => response,
            Err(error) => return Err(self.no_such_datacentre().await.unwrap_or(error)),
        };
        let told = response.headers().get(INDEX).and_then(|index| index.to_str().ok()?.parse().ok());
        let next = index.next(told.ok_or(AskError::NoIndex)?);
        Ok((next, serde_json::from_slice(&whole(response, Self::LONGEST).await?)?))
    }

    /// Whether the datacentre is what is wrong, which a refusal does not say but in words.
    async fn no_such_datacentre(&self) -> Option<AskError> {
        let asked = self.datacenter.clone()?;
        let response =
            good(self.request(Method::GET, "/v1/catalog/datacenters").send().await.ok()?).await.ok()?;
        let known: Vec<String> = serde_json::from_slice(&whole(response, Self::LONGEST).await.ok()?).ok()?;
        let is_wrong = !known.is_empty() && !known.contains(&asked);
        is_wrong.then_some(AskError::NoSuchDatacentre { asked, known })
    }

    /// Makes an instance known. What was known under its id is replaced.
    pub(super) async fn register(&self, instance: &Value) -> Result<(), AskError> {
        let request = self.request(Method::PUT, "/v1/agent/service/register?replace-existing-checks=true");
        good(request.body(instance.to_string()).send().await?).await.map(drop)
    }

    /// Whether an instance is known.
    pub(super) async fn knows(&self, id: &str) -> Result<bool, AskError> {
        Self::found(self.request(Method::GET, &format!("/v1/agent/service/{id}"))).await
    }

    /// Tells how an instance is. Says whether it is known.
    pub(super) async fn tell(&self, check: &str, verdict: &Verdict) -> Result<bool, AskError> {
        let body = serde_json::to_string(verdict)?;
        let request = self.request(Method::PUT, &format!("/v1/agent/check/update/{check}"));
        Self::found(request.body(body)).await
    }

    /// Makes an instance known no more.
    pub(super) async fn deregister(&self, id: &str) -> Result<(), AskError> {
        Self::found(self.request(Method::PUT, &format!("/v1/agent/service/deregister/{id}"))).await.map(drop)
    }

    /// Asks for something that the agent may not have.
    async fn found(request: RequestBuilder) -> Result<bool, AskError> {
        match good(request.send().await?).await {
            Ok(_) => Ok(true),
            Err(AskError::Refused(StatusCode::NOT_FOUND, _)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.current().client.request(method, format!("{}{path}", self.base)).timeout(Self::PATIENCE)
    }
}

pub(super) fn tls_config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    Ok(builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth())
}

async fn good(response: Response) -> Result<Response, AskError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let said = whole(response, Agent::LONGEST).await?;
    Err(AskError::Refused(status, String::from_utf8_lossy(&said).into_owned()))
}

/// The body of an answer of at most `longest` bytes.
pub(super) async fn whole(mut response: Response, longest: usize) -> Result<Vec<u8>, AskError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > longest {
            return Err(AskError::TooLong(longest));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
