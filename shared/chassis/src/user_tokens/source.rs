use std::sync::Arc;

use proto::flotilla::auth::v1::GetKeysRequest;
use proto::flotilla::auth::v1::tokens_service_client::TokensServiceClient;
use runtime::Deadline;
use service_auth::{KeySet, TokenVerifier};
use service_client::{CallError, Channel};
use tokio::sync::watch;
use types::ServiceName;

use super::UserTokens;
use super::asking::{Asking, Keeper, NoAnswer, PATIENCE};
use crate::{Background, Platform};

/// Where the keys that access tokens are checked with come from.
#[derive(Clone, Debug, Default)]
pub enum KeySource {
    /// From the service that issues the tokens.
    #[default]
    Issuer,
    /// From the service itself, which issues them: the keys now, and every later set.
    Own(watch::Receiver<KeySet>),
}

impl UserTokens {
    /// The check on `platform`, and what keeps its keys as `source` tells them.
    pub fn new(platform: &Platform, source: KeySource) -> (Self, Background) {
        let verifier = TokenVerifier::new(platform.issuer.clone(), &platform.env.clock);
        match source {
            KeySource::Own(keys) => Self::own(verifier, keys),
            KeySource::Issuer => Self::asking(platform, verifier),
        }
    }

    fn own(verifier: TokenVerifier, mut keys: watch::Receiver<KeySet>) -> (Self, Background) {
        verifier.set_keys(&keys.borrow_and_update());
        let kept = verifier.clone();
        let background = Background::new(NAME, move |stop| async move {
            let following = async {
                while keys.changed().await.is_ok() {
                    kept.set_keys(&keys.borrow_and_update());
                }
            };
            stop.run_until_cancelled(following).await;
        });
        (verifier.into(), background)
    }

    fn asking(platform: &Platform, verifier: TokenVerifier) -> (Self, Background) {
        let asking = Arc::new(Asking::default());
        let tokens = Self { verifier: verifier.clone(), asking: Some(Arc::clone(&asking)) };
        let keeper = Keeper::new(verifier, &platform.env.clock, &platform.env.random, &platform.metrics);
        let issuer = TokensServiceClient::new(platform.outbound().grpc(&ISSUER));
        let background = Background::new(NAME, move |stop| async move {
            asking.keep(&keeper, || fetch(issuer.clone()), stop).await;
        });
        (tokens, background)
    }
}

/// The task's name.
const NAME: &str = "token keys";

/// The service that issues access tokens.
const ISSUER: ServiceName = ServiceName::new("auth-service");

/// Asks the issuer.
async fn fetch(mut issuer: TokensServiceClient<Channel>) -> Result<KeySet, NoAnswer> {
    let question = service_client::request(GetKeysRequest {}, Deadline::within(PATIENCE), None);
    let answer = issuer.get_keys(question).await.map_err(CallError::from)?.into_inner();
    Ok(KeySet::from_jwks(&answer.jwks)?)
}
