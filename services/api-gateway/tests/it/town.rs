//! The gateway, the issuer of tokens and a shop, in one process and on a network of their own.

use std::net::SocketAddr;
use std::sync::Arc;

use chassis::{Listeners, Platform, Service, Settings, Sources, Vars};
use discovery::{Discover, Registry};
use futures_util::future::join_all;
use runtime::{Env, Io};
use service_auth::{Claims, Identity, LocalCa, SpiffeId, TrustDomain};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use types::ServiceName;

use crate::issuer::Issuer;
use crate::memory;
use crate::upstreams::Shop;
use crate::visitor::{Reply, Visitor};

const GATEWAY: ServiceName = ServiceName::new("api-gateway");
const AUTH: ServiceName = ServiceName::new("auth-service");
const USERS: ServiceName = ServiceName::new("user-service");

/// What a test has at hand while everything runs.
pub(crate) struct Town {
    pub(crate) env: Env,
    pub(crate) issuer: Issuer,
    pub(crate) shop: Shop,
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Ends the shop.
    pub(crate) shop_ends: CancellationToken,
}

/// Who is there, before anybody is.
struct Site {
    env: Env,
    ca: LocalCa,
    discovery: Arc<dyn Discover>,
    _dir: TempDir,
}

impl Site {
    fn new() -> Self {
        let (env, dir) = (memory::env(), tempfile::tempdir().unwrap());
        let ca = LocalCa::open(dir.path(), &env.clock).unwrap();
        Self { env, ca, discovery: Arc::new(Registry::default()), _dir: dir }
    }

    fn platform(&self, name: ServiceName) -> Platform {
        let id = SpiffeId::service(self.ca.trust_domain(), &name);
        let pem = self.ca.issue(&id, LocalCa::LEAF_VALIDITY).unwrap();
        let identity = Identity::from_pem(&pem, self.ca.roots_pem(), &self.env.clock).unwrap();
        let (env, discovery) = (self.env.with_own_tasks(), Arc::clone(&self.discovery));
        Platform::new(name, env, identity, TrustDomain::default(), Listeners::local(), discovery)
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
        let site = Site::new();
        let (issuer, shop) = (Issuer::new(), Shop::new());
        let (auth, users) = (site.platform(AUTH), site.platform(USERS));
        let auth = issuer.assembly(&auth).bind(&auth).await.unwrap();
        let users = shop.assembly(&users).bind(&users).await.unwrap();
        let gateway = site.gateway(vars).await;
        let (public, admin) = (gateway.addrs().http, gateway.addrs().admin);
        let (end, shop_ends) = (CancellationToken::new(), CancellationToken::new());
        let town = Self { env: site.env.clone(), issuer, shop, public, admin, shop_ends: shop_ends.clone() };
        let services =
            join_all([auth.run(end.clone()), users.run(shop_ends.clone()), gateway.run(end.clone())]);
        let telling = async {
            town.until_ready().await;
            story(&town).await;
            end.cancel();
            shop_ends.cancel();
        };
        let (ended, ()) = tokio::join!(services, telling);
        assert_eq!(ended, [Ok(()), Ok(()), Ok(())]);
    }

    /// As [`Town::with`], with the gateway as it is without settings.
    pub(crate) async fn tell(story: impl AsyncFnOnce(&Self)) {
        Self::with(&[], story).await;
    }

    async fn until_ready(&self) {
        let token = self.issuer.token(&self.issuer.claims(&self.env));
        while self.get("/users/me", &bearer(&token)).await.status() != 200 {}
        while self.get("/health", "").await.json()["status"] != "ok" {}
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
