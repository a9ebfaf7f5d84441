//! The service as it is, running, and clients with whatever identity a test wants.

use std::sync::Arc;
use std::time::Duration;

use chassis::{Addrs, Configure as _, Listeners, Platform, Settings, Sources, Vars};
use discovery::Registry;
use proto::flotilla::users::v1::accounts_service_client::AccountsServiceClient;
use proto::userservice::user_service_client::UserServiceClient;
use proto::userservice::{CreateUserRequest, User};
use runtime::Env;
use service_auth::{Identity, LocalCa, SpiffeId};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use types::ServiceName;
use user_service::Config;

use crate::connection::Connection;
use crate::database;

const SERVICE: ServiceName = ServiceName::new("user-service");

/// Names the listener in `:authority`; nobody is found by it.
const ORIGIN: &str = "https://user-service";

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct World {
    env: Env,
    ca: LocalCa,
    addrs: Addrs,
}

/// Turns each `async fn name(world: &World)` into a test on SQLite and one on PostgreSQL.
macro_rules! on_both_databases {
    ($($(#[$meta:meta])* async fn $name:ident($world:ident: &World) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn test($world: &World) $body

            #[tokio::test]
            async fn on_sqlite() {
                World::on_sqlite(test).await;
            }

            #[tokio::test]
            async fn on_postgresql() {
                World::on_postgresql(test).await;
            }
        }
    )*};
}
pub(crate) use on_both_databases;

impl World {
    pub(crate) async fn on_sqlite(test: impl AsyncFnOnce(&Self)) {
        let dir = tempfile::tempdir().unwrap();
        Self::run(&dir, &database::sqlite(&dir), test).await;
    }

    pub(crate) async fn on_postgresql(test: impl AsyncFnOnce(&Self)) {
        if let Some(url) = database::postgres().await {
            Self::run(&tempfile::tempdir().unwrap(), &url, test).await;
        }
    }

    /// Runs the service in `dir` on the database at `url` for as long as `test` does; then it must end in order.
    async fn run(dir: &TempDir, url: &str, test: impl AsyncFnOnce(&Self)) {
        let env = Env::system(2);
        let ca = LocalCa::open(&dir.path().join("ca"), &env.clock).unwrap();
        let trust_domain = ca.trust_domain().clone();
        let identity = identity(&ca, &env, &SpiffeId::service(&trust_domain, &SERVICE));
        let (listeners, discovery) = (Listeners::local(), Arc::new(Registry::default()));
        let platform = Platform::new(SERVICE, env.clone(), identity, trust_domain, listeners, discovery);
        let service = user_service::build(config(url), platform).await.unwrap();
        // Its connections must not be waited for by the service that they are made to.
        let world = Self { env: Env::system(1), ca, addrs: service.addrs() };
        let shutdown = CancellationToken::new();
        let test = async {
            test(&world).await;
            shutdown.cancel();
        };
        let (ended, ()) = tokio::join!(service.run(shutdown.clone()), test);
        assert_eq!(ended, Ok(()));
    }

    /// The guide's service, called as a service or as `operator`.
    pub(crate) async fn users(&self, caller: &str) -> UserServiceClient<Connection> {
        let connection = self.connect(caller, self.addrs.grpc).await;
        UserServiceClient::with_origin(connection, ORIGIN.parse().unwrap())
    }

    /// The service of those who guard the accounts, called as a service or as `operator`.
    pub(crate) async fn accounts(&self, caller: &str) -> AccountsServiceClient<Connection> {
        let connection = self.connect(caller, self.addrs.grpc).await;
        AccountsServiceClient::with_origin(connection, ORIGIN.parse().unwrap())
    }

    /// The internal API without a client that knows it.
    pub(crate) async fn raw(&self, caller: &str) -> Connection {
        self.connect(caller, self.addrs.grpc).await
    }

    /// The edge API, called as a service or as `operator`.
    pub(crate) async fn edge(&self, caller: &str) -> Connection {
        self.connect(caller, self.addrs.http).await
    }

    async fn connect(&self, caller: &str, addr: std::net::SocketAddr) -> Connection {
        let caller = match caller {
            "operator" => SpiffeId::operator(self.ca.trust_domain()),
            service => SpiffeId::service(self.ca.trust_domain(), &service.parse().unwrap()),
        };
        let server = SpiffeId::service(self.ca.trust_domain(), &SERVICE);
        Connection::open(&self.env, &identity(&self.ca, &self.env, &caller), &server, addr).await
    }

    /// An e-mail address that no other test uses, in lower case.
    pub(crate) fn email(&self) -> String {
        format!("{}@example.com", self.env.ids.uuid())
    }

    /// A customer called Ada with [`PASSWORD`].
    pub(crate) async fn ada(&self) -> User {
        let new =
            CreateUserRequest { email: self.email(), name: "Ada".to_owned(), password: PASSWORD.to_owned() };
        self.users("auth-service").await.create_user(new).await.unwrap().into_inner()
    }
}

fn identity(ca: &LocalCa, env: &Env, id: &SpiffeId) -> Identity {
    let pem = ca.issue(id, Duration::from_secs(60 * 60)).unwrap();
    Identity::from_pem(&pem, ca.roots_pem(), &env.clock).unwrap()
}

/// Everything as in production but the cost of a password, so that tests do not wait for it.
fn config(url: &str) -> Config {
    let vars = Vars::from([
        ("DATABASE_URL", url),
        ("DB_POOL_SIZE", "2"),
        ("ARGON2_MEMORY_KIB", "64"),
        ("ARGON2_ITERATIONS", "1"),
    ]);
    let mut settings = Settings::new(SERVICE, Sources { vars, ..Sources::default() });
    let config = Config::configure(&mut settings);
    settings.finish().unwrap();
    config
}
