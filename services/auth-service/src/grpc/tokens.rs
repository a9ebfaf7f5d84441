//! `flotilla.auth.v1.TokensService`.

use std::pin::Pin;

use chassis::Health;
use futures_util::{Stream, stream};
use proto::flotilla::auth::v1 as contract;
use proto::flotilla::auth::v1::tokens_service_server::{TokensService, TokensServiceServer};
use proto::flotilla::auth::v1::{
    GetKeysRequest, GetKeysResponse, RevokedUser, WatchRevocationsRequest, WatchRevocationsResponse,
};
use service_auth::KeySet;
use tokio::sync::watch;
use tonic::{Request, Response, Status, async_trait};
use types::Timestamp;

use crate::feed::{Feed, Told};
use crate::revocation::{Revocation, Subject};

pub(super) fn service(
    keys: watch::Receiver<KeySet>,
    feed: Feed,
    health: Health,
) -> TokensServiceServer<impl TokensService> {
    TokensServiceServer::new(Tokens { keys, feed, health })
}

struct Tokens {
    keys: watch::Receiver<KeySet>,
    feed: Feed,
    health: Health,
}

#[async_trait]
impl TokensService for Tokens {
    async fn get_keys(&self, _: Request<GetKeysRequest>) -> Result<Response<GetKeysResponse>, Status> {
        Ok(Response::new(GetKeysResponse { jwks: self.keys.borrow().to_jwks() }))
    }

    type WatchRevocationsStream =
        Pin<Box<dyn Stream<Item = Result<WatchRevocationsResponse, Status>> + Send>>;

    async fn watch_revocations(
        &self,
        request: Request<WatchRevocationsRequest>,
    ) -> Result<Response<Self::WatchRevocationsStream>, Status> {
        let watch = self.feed.watch(Timestamp::from_micros(request.get_ref().since));
        let told = stream::unfold(watch, async |mut watch| Some((Ok(message(&watch.next().await)), watch)));
        Ok(Response::new(Box::pin(self.health.until_draining(told))))
    }
}

fn message(told: &Told) -> WatchRevocationsResponse {
    let revocations = told.revocations.iter().map(revocation).collect();
    WatchRevocationsResponse { revocations, cursor: told.cursor.micros() }
}

fn revocation(revocation: &Revocation) -> contract::Revocation {
    use contract::revocation::Subject as Told;
    let subject = match revocation.subject {
        Subject::Session(session) => Told::SessionId(session.to_string()),
        Subject::User(user, below_version) => Told::User(RevokedUser { id: user.to_string(), below_version }),
    };
    contract::Revocation { subject: Some(subject), until: revocation.until.micros() }
}
