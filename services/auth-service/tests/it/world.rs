//! The service as it is, running, on one database in as many instances as a test wants, beside a user-service that does
//! what the test wants. It is called as the gateway and as other services call it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use auth_service::Config;
use chassis::{Configure as _, Listeners, Platform, Settings, Sources, Vars};
use database::{Batch, Database, Migration, Sql, migration, params};
use discovery::{Discover, Registry};
use futures_util::future::join_all;
use proto::flotilla::auth::v1::keys_service_client::KeysServiceClient;
use proto::flotilla::auth::v1::tokens_service_client::TokensServiceClient;
use runtime::{Clock, Deadline, Env};
use service_auth::{Identity, LocalCa, SpiffeId};
use service_client::{Channel, Outbound};
use telemetry::Metrics;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use types::{ServiceName, Timestamp};

use crate::client::Client;
use crate::users::Users;

const AUTH_SERVICE: ServiceName = ServiceName::new("auth-service");
const USER_SERVICE: ServiceName = ServiceName::new("user-service");

const MIGRATIONS: &[Migration] = &[migration!(1, "0001_sessions", oldest_binary = 1)];

/// Longer than anything takes that goes well, on a machine that does much else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long certificates hold: longer than a test moves the clock.
const CERTIFICATES: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(crate) struct World {
    env: Env,
    ca: LocalCa,
    discovery: Arc<dyn Discover>,
    /// How far the service's clock is ahead of the machine's, in microseconds.
    ahead: Arc<AtomicI64>,
    config: Config,
    /// Those of each instance.
    metrics: Vec<Metrics>,
    pub(crate) users: Users,
}

impl World {
    /// Runs `test` beside one instance.
    pub(crate) async fn run(test: impl AsyncFnOnce(&Self)) {
        Self::of(1, |_| {}, test).await;
    }

    /// Runs `test` beside two instances, which answer in turns.
    pub(crate) async fn run_two(test: impl AsyncFnOnce(&Self)) {
        Self::of(2, |_| {}, test).await;
    }

    /// Runs `test` beside so many instances, whose configuration is `adjust`ed. All must end in order.
    pub(crate) async fn of(instances: usize, adjust: impl Fn(&mut Config), test: impl AsyncFnOnce(&Self)) {
        let dir = tempfile::tempdir().unwrap();
        let mut world = Self::new(&dir);
        adjust(&mut world.config);
        let mut services = vec![world.users.build(&world.platform(USER_SERVICE)).await];
        for _ in 0..instances {
            let platform = world.platform(AUTH_SERVICE);
            world.metrics.push(platform.metrics.clone());
            services.push(auth_service::build(world.config.clone(), platform).await.unwrap());
        }
        let shutdown = CancellationToken::new();
        let running = join_all(services.into_iter().map(|service| service.run(shutdown.clone())));
        let test = async {
            world.everybody_is_found(instances).await;
            test(&world).await;
            shutdown.cancel();
        };
        let (ended, ()) = tokio::join!(running, test);
        assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    }

    fn new(dir: &TempDir) -> Self {
        let env = Env::system(1);
        let ca = LocalCa::open(&dir.path().join("ca"), &env.clock).unwrap();
        let config = config(&format!("sqlite:{}", dir.path().join("auth.db").display()));
        let discovery = Arc::new(Registry::default());
        Self { env, ca, discovery, ahead: Arc::default(), config, metrics: Vec::new(), users: Users::new() }
    }

    fn platform(&self, service: ServiceName) -> Platform {
        let env = Env { clock: self.clock(), ..Env::system(1) };
        let trust_domain = self.ca.trust_domain().clone();
        let identity = self.identity(&SpiffeId::service(&trust_domain, &service));
        let discovery = Arc::clone(&self.discovery);
        Platform::new(service, env, identity, trust_domain, Listeners::local(), discovery)
    }

    fn identity(&self, id: &SpiffeId) -> Identity {
        let pem = self.ca.issue(id, CERTIFICATES).unwrap();
        Identity::from_pem(&pem, self.ca.roots_pem(), &self.env.clock).unwrap()
    }

    async fn everybody_is_found(&self, instances: usize) {
        for (service, instances) in [(USER_SERVICE, 1), (AUTH_SERVICE, instances)] {
            let mut known = self.discovery.watch(&service);
            known.wait_for(|known| known.len() == instances).await.unwrap();
        }
    }

    /// Whoever calls as a service, or as `operator`.
    pub(crate) fn outbound(&self, caller: &str) -> Outbound {
        let trust_domain = self.ca.trust_domain();
        let caller = match caller {
            "operator" => SpiffeId::operator(trust_domain),
            service => SpiffeId::service(trust_domain, &service.parse().unwrap()),
        };
        Outbound::new(&self.env, &self.identity(&caller), trust_domain, &self.discovery)
    }

    /// Somebody at home, through the gateway.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.outbound("api-gateway").http(&AUTH_SERVICE), self.clock())
    }

    /// The service of those who check tokens, called as a service or as `operator`.
    pub(crate) fn tokens(&self, caller: &str) -> TokensServiceClient<Channel> {
        TokensServiceClient::new(self.outbound(caller).grpc(&AUTH_SERVICE))
    }

    /// The service of the signing keys, called as a service or as `operator`.
    pub(crate) fn keys(&self, caller: &str) -> KeysServiceClient<Channel> {
        KeysServiceClient::new(self.outbound(caller).grpc(&AUTH_SERVICE))
    }

    /// The service's clock.
    pub(crate) fn clock(&self) -> Clock {
        let (system, ahead) = (self.env.clock.clone(), Arc::clone(&self.ahead));
        Clock::reading(move || Timestamp::from_micros(system.now().micros() + ahead.load(Ordering::Relaxed)))
    }

    /// Moves the service's clock on.
    pub(crate) fn pass(&self, time: Duration) {
        self.ahead.fetch_add(i64::try_from(time.as_micros()).unwrap(), Ordering::Relaxed);
    }

    /// Does something to the service's database behind its back.
    pub(crate) async fn run_sql(&self, sql: Sql) {
        let (metrics, config) = (Metrics::new(&AUTH_SERVICE, "test"), &self.config.database);
        let database = Database::open(&self.env, &metrics, config, MIGRATIONS).await.unwrap();
        let mut batch = Batch::new();
        database.commit(batch.run(sql, params![]).clone(), Deadline::within(PATIENCE)).await.unwrap();
        database.close().await;
    }

    /// For how many seconds the first instance has not followed what happens to accounts.
    pub(crate) fn account_changes_age(&self) -> u64 {
        let text = self.metrics[0].render();
        let line = text.lines().find(|line| line.starts_with("flotilla_account_changes_age_seconds{"));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("it is told")
    }

    /// An e-mail address that nobody else has.
    pub(crate) fn email(&self) -> String {
        format!("{}@example.com", self.env.ids.uuid())
    }
}

/// Asks until there is an answer that counts.
pub(crate) async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    Deadline::within(PATIENCE).bound(asking).await.expect("it comes to it in time")
}

fn config(url: &str) -> Config {
    let vars = Vars::from([
        ("DATABASE_URL", url),
        ("DB_POOL_SIZE", "2"),
        ("SIGNING_KEY_SECRET", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ]);
    let mut settings = Settings::new(AUTH_SERVICE, Sources { vars, ..Sources::default() });
    let config = Config::configure(&mut settings);
    settings.finish().unwrap();
    config
}
