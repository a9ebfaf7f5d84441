//! The real Consul that the tests are given.

use std::time::Duration;

use discovery::{ConsulConfig, ConsulTls};
use runtime::Env;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};

/// Longer than anything takes that goes well, on a machine that does much else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Where a server speaks plain text.
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Server {
    /// The one at which everybody may do anything, which nobody stops.
    pub(crate) fn open() -> Option<Self> {
        given("FLOTILLA_TEST_CONSUL").map(|url| Self::at(&url))
    }

    fn at(url: &str) -> Self {
        let (host, port) = url.strip_prefix("http://").unwrap().rsplit_once(':').unwrap();
        Self { host: host.to_owned(), port: port.parse().unwrap() }
    }

    /// Does something at the server behind the back of what is tested.
    pub(crate) async fn put(&self, path: &str, body: &str) {
        assert_eq!(self.status("PUT", path, body).await, 200, "{path}");
    }

    /// How it answers.
    pub(crate) async fn status(&self, method: &str, path: &str, body: &str) -> u16 {
        let net = Env::system(1).net;
        let mut connection = net.dial(&format!("{}:{}", self.host, self.port)).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: consul\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all((head + body).as_bytes()).await.unwrap();
        let mut told = String::new();
        connection.read_to_string(&mut told).await.unwrap();
        told.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap()
    }
}

/// The one that wants a token, speaks TLS too, and may be stopped: for one test at a time.
pub(crate) struct Spare {
    server: Server,
    token: String,
    tls_port: u16,
    ca: Vec<u8>,
    ctl: String,
    _alone: MutexGuard<'static, ()>,
}

impl Spare {
    pub(crate) async fn take() -> Option<Self> {
        static ALONE: Mutex<()> = Mutex::const_new(());
        let alone = ALONE.lock().await;
        let server = Server::at(&given("FLOTILLA_TEST_CONSUL_SPARE")?);
        let rest = |name: &str| given(name).expect("they are given together");
        let spare = Self {
            server,
            token: rest("FLOTILLA_TEST_CONSUL_SPARE_TOKEN"),
            tls_port: rest("FLOTILLA_TEST_CONSUL_SPARE_TLS_PORT").parse().unwrap(),
            ca: std::fs::read(rest("FLOTILLA_TEST_CONSUL_SPARE_CA")).unwrap(),
            ctl: rest("FLOTILLA_TEST_CONSUL_SPARE_CTL"),
            _alone: alone,
        };
        // Whatever the last test has left.
        spare.control("start").await;
        Some(spare)
    }

    /// The settings of somebody who may do anything there.
    pub(crate) fn config(&self) -> ConsulConfig {
        let token = Some(self.token.clone().into());
        ConsulConfig { token, ..ConsulConfig::at(&self.server.host, self.server.port) }
    }

    /// The same over TLS.
    pub(crate) fn config_with_tls(&self) -> ConsulConfig {
        let tls = Some(ConsulTls::from_pem(&self.ca).unwrap());
        ConsulConfig { tls, port: self.tls_port, ..self.config() }
    }

    /// An authority that has nothing to do with the server.
    pub(crate) fn other_authority(&self) -> ConsulTls {
        ConsulTls::from_pem(include_bytes!("stranger.pem")).unwrap()
    }

    pub(crate) async fn control(&self, verb: &str) {
        let output = Command::new(&self.ctl).arg(verb).output().await.unwrap();
        assert!(output.status.success(), "{verb}: {output:?}");
    }
}

fn given(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a test learns from its environment where the engines are")]
    let value = |name| std::env::var(name).ok();
    let given = value(name);
    if given.is_none() {
        assert!(value("CI").is_none_or(|ci| ci != "true"), "{name} must be set where CI=true");
        #[expect(clippy::print_stdout, reason = "a test that did not run has to say so")]
        {
            println!("{name} is not set");
        }
    }
    given
}
