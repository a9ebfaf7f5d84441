//! What the gateway sees of the service that issues access tokens: keys and revocations.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chassis::{Access, Assembly, Edge, Health, KeySource, Platform, get};
use futures_util::{Stream, stream};
use proto::flotilla::auth::v1::revocation::Subject;
use proto::flotilla::auth::v1::tokens_service_server::{TokensService, TokensServiceServer};
use proto::flotilla::auth::v1::{
    GetKeysRequest, GetKeysResponse, Revocation, RevokedUser, WatchRevocationsRequest,
    WatchRevocationsResponse,
};
use runtime::{Env, Random};
use service_auth::{AllowTable, Claims, Issuer as Tokens, KeySet, SigningKey};
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::service::Routes;
use tonic::{Request, Response, Status, async_trait};
use types::{ErrorClass, Role, SessionId, UserId};

use crate::upstreams::echo;

/// Issues tokens and takes them back, as a test says.
#[derive(Clone)]
pub(crate) struct Issuer {
    key: Arc<SigningKey>,
    keys: watch::Sender<KeySet>,
    revoked: watch::Sender<Vec<Revocation>>,
    /// Whether it says nothing of them.
    is_silent: Arc<AtomicBool>,
}

impl Issuer {
    /// With a key, and nothing revoked.
    pub(crate) fn new() -> Self {
        let key = Arc::new(key(1));
        let keys = watch::Sender::new(KeySet::new([key.public()]));
        Self { key, keys, revoked: watch::Sender::default(), is_silent: Arc::default() }
    }

    /// One that says nothing of what it takes back, until it speaks.
    pub(crate) fn silent() -> Self {
        let issuer = Self::new();
        issuer.is_silent.store(true, Ordering::Relaxed);
        issuer
    }

    pub(crate) fn speak(&self) {
        self.is_silent.store(false, Ordering::Relaxed);
    }

    /// Without a key that anybody could know.
    pub(crate) fn without_keys() -> Self {
        let issuer = Self::new();
        issuer.lose_keys();
        issuer
    }

    /// Has no keys to tell of from now on.
    pub(crate) fn lose_keys(&self) {
        self.keys.send_replace(KeySet::default());
    }

    pub(crate) fn find_keys(&self) {
        self.keys.send_replace(KeySet::new([self.key.public()]));
    }

    /// What a user says in a login, for ten minutes.
    pub(crate) fn claims(&self, env: &Env) -> Claims {
        let now = env.clock.now();
        Claims {
            user: env.ids.next(),
            session: env.ids.next(),
            role: Role::Customer,
            version: 1,
            id: env.ids.uuid(),
            issued_at: now,
            not_before: now,
            expires_at: now.after(Duration::from_secs(600)),
        }
    }

    pub(crate) fn token(&self, claims: &Claims) -> String {
        self.key.sign(&Tokens::default(), claims)
    }

    /// One that somebody else signed.
    pub(crate) fn forged(&self, claims: &Claims) -> String {
        key(2).sign(&Tokens::default(), claims)
    }

    pub(crate) fn revoke_session(&self, env: &Env, session: SessionId) {
        self.revoke(env, Subject::SessionId(session.to_string()));
    }

    pub(crate) fn revoke_user(&self, env: &Env, user: UserId, below_version: i64) {
        self.revoke(env, Subject::User(RevokedUser { id: user.to_string(), below_version }));
    }

    fn revoke(&self, env: &Env, subject: Subject) {
        let until = env.clock.now().after(Duration::from_secs(605)).micros();
        self.revoked.send_modify(|revoked| revoked.push(Revocation { subject: Some(subject), until }));
    }

    /// The service, as the platform sees it.
    pub(crate) fn assembly(&self, platform: &Platform) -> Assembly {
        let mut routes = Routes::builder();
        let (issuer, health) = (self.clone(), platform.health.clone());
        routes.add_service(TokensServiceServer::new(Desk { issuer, health }));
        let http = Edge::new()
            .route("/auth/{*path}", get(Access::Anybody, echo).post(Access::Anybody, echo))
            .route("/.well-known/{*path}", get(Access::Anybody, echo));
        let allow = AllowTable::new(&platform.trust_domain)
            .allow_everyone("/flotilla.auth.v1.TokensService/GetKeys")
            .allow("/flotilla.auth.v1.TokensService/WatchRevocations", &["api-gateway"]);
        Assembly {
            http,
            grpc: routes.routes(),
            allow,
            keys: KeySource::Own(self.keys.subscribe()),
            contracts: &[proto::DESCRIPTOR_SET],
            ..Assembly::new(&platform.trust_domain)
        }
    }
}

fn key(seed: u64) -> SigningKey {
    SigningKey::generate(&Random::seeded(seed)).0
}

/// The service while it runs.
struct Desk {
    issuer: Issuer,
    health: Health,
}

#[async_trait]
impl TokensService for Desk {
    async fn get_keys(&self, _: Request<GetKeysRequest>) -> Result<Response<GetKeysResponse>, Status> {
        let keys = self.issuer.keys.borrow().clone();
        if keys.is_empty() {
            return Err(proto::status::of(ErrorClass::Unavailable, "there are no keys yet", &[]));
        }
        Ok(Response::new(GetKeysResponse { jwks: keys.to_jwks() }))
    }

    type WatchRevocationsStream =
        Pin<Box<dyn Stream<Item = Result<WatchRevocationsResponse, Status>> + Send>>;

    async fn watch_revocations(
        &self,
        request: Request<WatchRevocationsRequest>,
    ) -> Result<Response<Self::WatchRevocationsStream>, Status> {
        if self.issuer.is_silent.load(Ordering::Relaxed) {
            return Err(Status::unavailable("not now"));
        }
        let since = usize::try_from(request.get_ref().since).unwrap();
        let answers = stream::unfold(
            (self.issuer.revoked.subscribe(), since, true),
            async |(mut revoked, told, first)| {
                if !first {
                    // Whether it is news or only a sign of life.
                    drop(timeout(Duration::from_secs(1), revoked.wait_for(|all| all.len() > told)).await);
                }
                let all = revoked.borrow().clone();
                let cursor = i64::try_from(all.len()).unwrap();
                let answer = WatchRevocationsResponse { revocations: all[told..].to_vec(), cursor };
                Some((Ok(answer), (revoked, all.len(), false)))
            },
        );
        Ok(Response::new(Box::pin(self.health.until_draining(answers))))
    }
}
