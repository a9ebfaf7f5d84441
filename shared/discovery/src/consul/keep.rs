//! Keeping an instance registered.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime::{Deadline, Random};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use types::ServiceName;

use super::agent::{Agent, AskError};
use super::catalogue::GRPC_PORT;
use super::config::ConsulConfig;
use super::readiness::{Readiness, Verdict};
use crate::backoff::Backoff;
use crate::contact::Contact;
use crate::{Endpoint, Standing};

/// How often the agent is asked whether it still knows the instance, and told whether that is ready. With the pause after
/// a failure it is known again within ten seconds of the agent's return.
const ROUND: Duration = Duration::from_secs(2);
/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// An instance of which nothing was told for so long is dead: seven rounds.
const TTL: Duration = Duration::from_secs(15);
/// How long a registration is tried to be taken back, however long anybody would wait.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// An instance as the agent is told of it.
pub(super) struct Instance {
    id: String,
    /// The check whose outcome is told by us, where it is.
    own_check: Option<OwnCheck>,
    forgotten_after: Duration,
    body: Value,
}

/// How it is known whether an instance is well.
pub(super) enum Checked {
    /// The agent asks the instance, at this address.
    ByAgent(SocketAddr),
    /// We tell the agent: what the instance says of its readiness, or else that it lives.
    ByUs(Option<Readiness>),
}

struct OwnCheck {
    id: String,
    readiness: Option<Readiness>,
}

impl Instance {
    /// The id is the same after a restart at the same address, so that what a killed process has left is replaced.
    pub(super) fn new(
        service: &ServiceName,
        Endpoint { http, grpc }: Endpoint,
        checked: Checked,
        config: &ConsulConfig,
    ) -> Self {
        let ConsulConfig { tag, forgotten_after, .. } = config;
        // A colon stands for something in a path.
        let id = format!("{service}-{}-{}", http.ip().to_string().replace(':', "."), http.port());
        let check_id = format!("{id}-check");
        let mut check = json!({
            "CheckID": check_id,
            "Name": "ready",
            "DeregisterCriticalServiceAfter": in_its_words(*forgotten_after),
        });
        let own_check = match checked {
            Checked::ByAgent(health) => {
                check["HTTP"] = Readiness::url(health).into();
                check["Interval"] = in_its_words(ROUND).into();
                check["Timeout"] = in_its_words(Readiness::PATIENCE).into();
                None
            }
            Checked::ByUs(readiness) => {
                check["TTL"] = in_its_words(TTL).into();
                Some(OwnCheck { id: check_id, readiness })
            }
        };
        let body = json!({
            "ID": id,
            "Name": service.as_str(),
            "Address": http.ip().to_string(),
            "Port": http.port(),
            "Tags": tag.iter().collect::<Vec<_>>(),
            "Meta": { GRPC_PORT: grpc.port().to_string(), "flotilla_version": env!("CARGO_PKG_VERSION") },
            "Check": check,
        });
        Self { id, own_check, forgotten_after: *forgotten_after, body }
    }
}

fn in_its_words(duration: Duration) -> String {
    format!("{}s", duration.as_secs())
}

impl OwnCheck {
    /// Tells how the instance is. Says whether it is known.
    async fn tell(&self, agent: &Agent) -> Result<bool, AskError> {
        let verdict = match &self.readiness {
            Some(readiness) => readiness.verdict().await,
            None => Verdict::alive(),
        };
        agent.tell(&self.id, &verdict).await
    }
}

/// How the registrations of a process stand, by their ids.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<BTreeMap<String, Contact>>>);

impl Kept {
    pub(super) fn keep(&self, agent: Arc<Agent>, random: &Random, instance: Instance) -> Keeping {
        self.all().insert(instance.id.clone(), Contact::default());
        let backoff = Backoff::new(random, LONGEST_PAUSE);
        Keeping { agent, instance, backoff, kept: self.clone() }
    }

    pub(super) fn standing(&self) -> Standing {
        let best = Standing::Current { age: Duration::ZERO };
        self.all()
            .iter()
            .map(|(id, contact)| contact.standing(format_args!("registering {id}")))
            .fold(best, Standing::and)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Contact>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The work of keeping one instance registered.
pub(super) struct Keeping {
    agent: Arc<Agent>,
    instance: Instance,
    backoff: Backoff,
    kept: Kept,
}

impl Keeping {
    /// Keeps it until `stop`, then takes it back. `withdrawn` is told once the agent has confirmed that.
    pub(super) async fn until(mut self, stop: CancellationToken, withdrawn: oneshot::Sender<()>) {
        stop.run_until_cancelled(self.keep()).await;
        if Deadline::within(LEAVE_WITHIN).bound(self.take_back()).await.is_ok() {
            tracing::info!(instance = self.instance.id, "withdrawn from Consul");
            // Whoever dropped the registration does not wait for it.
            withdrawn.send(()).unwrap_or_default();
        } else {
            tracing::warn!(
                instance = self.instance.id,
                forgotten_after = ?self.instance.forgotten_after,
                "Consul could not be told that this instance ends"
            );
        }
    }

    async fn keep(&mut self) {
        let mut is_known = false;
        loop {
            let asked = if is_known { self.round().await } else { self.register().await.map(|()| true) };
            let pause = match asked {
                Ok(known) => {
                    if is_known && !known {
                        tracing::warn!(instance = self.instance.id, "Consul has forgotten this instance");
                    }
                    is_known = known;
                    self.answered();
                    self.backoff.reset();
                    if known { ROUND } else { Duration::ZERO }
                }
                Err(error) => {
                    self.failed(&error);
                    self.agent.reconsider(&error);
                    self.backoff.pause()
                }
            };
            sleep(pause).await;
        }
    }

    /// Registers, and tells at once whether the instance is ready where that is ours to tell.
    async fn register(&self) -> Result<(), AskError> {
        self.agent.register(&self.instance.body).await?;
        if let Some(check) = &self.instance.own_check {
            check.tell(&self.agent).await?;
        }
        tracing::info!(instance = self.instance.id, "registered with Consul");
        Ok(())
    }

    /// Whether the agent still knows the instance.
    async fn round(&self) -> Result<bool, AskError> {
        let knows = self.agent.knows(&self.instance.id).await?;
        match &self.instance.own_check {
            Some(check) if knows => check.tell(&self.agent).await,
            _ => Ok(knows),
        }
    }

    async fn take_back(&mut self) {
        self.backoff.reset();
        while let Err(error) = self.agent.deregister(&self.instance.id).await {
            tracing::debug!(instance = self.instance.id, %error, "not withdrawn from Consul yet");
            self.agent.reconsider(&error);
            sleep(self.backoff.pause()).await;
        }
    }

    fn answered(&self) {
        if let Some(contact) = self.kept.all().get_mut(&self.instance.id) {
            contact.answered();
        }
    }

    fn failed(&self, error: &AskError) {
        let mut all = self.kept.all();
        let Some(contact) = all.get_mut(&self.instance.id) else { return };
        if contact.failed(&error.to_string()) {
            tracing::warn!(instance = self.instance.id, %error, "Consul does not register this instance, which is tried on");
        }
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.kept.all().remove(&self.instance.id);
    }
}
