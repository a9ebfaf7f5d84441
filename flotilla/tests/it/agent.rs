//! The Consul that the tests may stop.

use discovery::{Consul, ConsulConfig};
use runtime::Env;
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};

use crate::server::variable;

/// For one test at a time; there is one.
pub(crate) struct Agent {
    host: String,
    port: String,
    token: String,
    ctl: String,
    _alone: MutexGuard<'static, ()>,
}

impl Agent {
    /// One that knows nobody, or nothing where there is none and none has to be.
    pub(crate) async fn new() -> Option<Self> {
        static ALONE: Mutex<()> = Mutex::const_new(());
        let alone = ALONE.lock().await;
        let url = variable("FLOTILLA_TEST_CONSUL_SPARE")?;
        let (host, port) = url.strip_prefix("http://").unwrap().rsplit_once(':').unwrap();
        let agent = Self {
            host: host.to_owned(),
            port: port.to_owned(),
            token: variable("FLOTILLA_TEST_CONSUL_SPARE_TOKEN")?,
            ctl: variable("FLOTILLA_TEST_CONSUL_SPARE_CTL")?,
            _alone: alone,
        };
        agent.control("wipe").await;
        agent.control("start").await;
        Some(agent)
    }

    pub(crate) async fn control(&self, verb: &str) {
        let output = Command::new(&self.ctl).arg(verb).output().await.unwrap();
        assert!(output.status.success(), "{verb}: {output:?}");
    }

    /// What a service is told of it.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let Self { host, port, token, .. } = self;
        vec![("CONSUL_HOST", host.clone()), ("CONSUL_PORT", port.clone()), ("CONSUL_TOKEN", token.clone())]
    }

    /// Somebody who knows nothing yet but what it tells.
    pub(crate) fn newcomer(&self, env: &Env) -> Consul {
        let token = Some(self.token.clone().into());
        let config = ConsulConfig::at(&self.host, self.port.parse().unwrap());
        Consul::new(env, ConsulConfig { token, ..config }).unwrap()
    }
}
