//! The gateway, the issuer of tokens and a shop, in one process and on a network of their own.

use std::net::SocketAddr;
use std::sync::Arc;

use chassis::{Listeners, Platform, Service, Settings, Sources, Vars};
use discovery::{Discover, Registry};
use futures_util::future::join_all;
use runtime::{Env, Io};
use secrecy::ExposeSecret as _;
use service_auth::{Claims, Identity, LocalCa, Pem, SpiffeId, TrustDomain};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use types::ServiceName;

use crate::issuer::Issuer;
use crate::memory;
use crate::upstreams::Shop;
use crate::visitor::{Reply, Visitor};

pub(crate) const GATEWAY: ServiceName = ServiceName::new("api-gateway");
const AUTH: ServiceName = ServiceName::new("auth-service");
const USERS: ServiceName = ServiceName::new("user-service");

/// What a test has at hand while everything runs.
pub(crate) struct Town {
    pub(crate) env: Env,
    pub(crate) site: Site,
    pub(crate) issuer: Issuer,
    pub(crate) shop: Shop,
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Ends the issuer.
    pub(crate) issuer_ends: CancellationToken,
    /// Ends the shop.
    pub(crate) shop_ends: CancellationToken,
}

/// Who is there, before anybody is.
pub(crate) struct Site {
    env: Env,
    ca: LocalCa,
    pub(crate) discovery: Arc<dyn Discover>,
    dir: TempDir,
}

impl Site {
    /// In a world of its own.
    pub(crate) fn in_memory() -> Self {
        Self::within(memory::env())
    }

    /// On the sockets and by the clock of this machine.
    pub(crate) fn on_loopback() -> Self {
        Self::within(Env::system(1))
    }

    fn within(env: Env) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = LocalCa::open(dir.path(), &env.clock).unwrap();
        Self { env, ca, discovery: Arc::new(Registry::default()), dir }
    }

    /// The files of a certificate for the public and its key.
    pub(crate) fn certificate(&self) -> [String; 2] {
        let Pem { chain, key } = self.pem(&GATEWAY);
        [("tls.crt", chain.as_str()), ("tls.key", key.expose_secret())].map(|(file, text)| {
            let path = self.dir.path().join(file);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        })
    }

    fn pem(&self, name: &ServiceName) -> Pem {
        self.ca.issue(&SpiffeId::service(self.ca.trust_domain(), name), LocalCa::LEAF_VALIDITY).unwrap()
    }

    pub(crate) fn identity(&self, name: &ServiceName) -> Identity {
        Identity::from_pem(&self.pem(name), self.ca.roots_pem(), &self.env.clock).unwrap()
    }

    fn platform(&self, name: ServiceName) -> Platform {
        let (identity, env) = (self.identity(&name), self.env.with_own_tasks());
        let discovery = Arc::clone(&self.discovery);
        Platform::new(name, env, identity, TrustDomain::default(), Listeners::local(), discovery)
    }

    /// The issuer's service, which may come back after it has ended.
    pub(crate) async fn issuing(&self, issuer: &Issuer) -> Service {
        let platform = self.platform(AUTH);
        issuer.assembly(&platform).bind(&platform).await.unwrap()
    }

    async fn gateway<const N: usize>(&self, vars: &[(&str, &str); N]) -> Service {
        let vars = Vars::from(*vars);
        let mut settings = Settings::new(GATEWAY, Sources { vars, ..Sources::default() });
        let config = api_gateway::Config::at("127.0.0.1:0".parse().unwrap(), &mut settings);
        settings.finish().unwrap();
        api_gateway::build(config, self.platform(GATEWAY)).await.unwrap()
    }
}

impl Town {
    /// Tells `story` in a town whose gateway has the settings `vars`, once everybody is ready.
    pub(crate) async fn with<const N: usize>(vars: &[(&str, &str); N], story: impl AsyncFnOnce(&Self)) {
        Self::found(Site::in_memory(), Issuer::new(), vars, async |town| {
            town.until_ready().await;
            story(town).await;
        })
        .await;
    }

    /// The same from the beginning, when nobody may be ready yet.
    pub(crate) async fn found<const N: usize>(
        site: Site,
        issuer: Issuer,
        vars: &[(&str, &str); N],
        story: impl AsyncFnOnce(&Self),
    ) {
        let (shop, users) = (Shop::new(), site.platform(USERS));
        let users = shop.assembly(&users).bind(&users).await.unwrap();
        let (auth, gateway) = (site.issuing(&issuer).await, site.gateway(vars).await);
        let (public, admin, env) = (gateway.addrs().http, gateway.addrs().admin, site.env.clone());
        let [end, issuer_ends, shop_ends] = [(); 3].map(|()| CancellationToken::new());
        let services =
            join_all([auth.run(issuer_ends.clone()), users.run(shop_ends.clone()), gateway.run(end.clone())]);
        let town = Self { env, site, issuer, shop, public, admin, issuer_ends, shop_ends };
        let telling = async {
            story(&town).await;
            for end in [&end, &town.issuer_ends, &town.shop_ends] {
                end.cancel();
            }
        };
        let (ended, ()) = tokio::join!(services, telling);
        assert_eq!(ended, [Ok(()), Ok(()), Ok(())]);
    }

    /// As [`Town::with`], with the gateway as it is without settings.
    pub(crate) async fn tell(story: impl AsyncFnOnce(&Self)) {
        Self::with(&[], story).await;
    }

    pub(crate) async fn until_ready(&self) {
        let (_, header) = self.somebody();
        while self.get("/users/me", &header).await.status() != 200 {}
        for service in ["auth-service", "user-service"] {
            while self.get("/health", "").await.json()["services"][service] != "ok" {}
        }
    }

    /// A new connection from outside.
    pub(crate) async fn visitor(&self) -> Visitor {
        Visitor::over(self.dial(self.public).await)
    }

    pub(crate) async fn dial(&self, addr: SocketAddr) -> Io {
        self.env.net.dial(&addr.to_string()).await.unwrap()
    }

    /// What a GET with these lines of headers is answered, over a connection of its own.
    pub(crate) async fn get(&self, path: &str, headers: &str) -> Reply {
        self.ask("GET", path, headers, "").await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let mut visitor = self.visitor().await;
        let length =
            if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        visitor
            .send(format!("{method} {path} HTTP/1.1\r\nhost: shop.example\r\n{headers}{length}\r\n{body}"))
            .await;
        visitor.reply_to(method).await
    }

    /// What the admin listener tells.
    pub(crate) async fn metrics(&self) -> String {
        self.admin("/metrics").await.body
    }

    /// What the admin listener answers.
    pub(crate) async fn admin(&self, path: &str) -> Reply {
        let mut admin = Visitor::over(self.dial(self.admin).await);
        admin.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        admin.reply().await
    }

    /// For how many seconds the gateway has not heard of revocations.
    pub(crate) async fn revocations_age(&self) -> u64 {
        let metrics = self.metrics().await;
        let line = metrics.lines().find(|line| line.starts_with("flotilla_revocations_age_seconds{"));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("it is told")
    }

    /// Somebody new, and the header that says so.
    pub(crate) fn somebody(&self) -> (Claims, String) {
        let claims = self.issuer.claims(&self.env);
        let header = bearer(&self.issuer.token(&claims));
        (claims, header)
    }
}

/// The line of the header.
pub(crate) fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}
