//! `flotilla.auth.v1.KeysService`.

use proto::flotilla::auth::v1 as contract;
use proto::flotilla::auth::v1::keys_service_server::{KeysService, KeysServiceServer};
use proto::flotilla::auth::v1::{ListKeysRequest, ListKeysResponse, RotateKeysRequest, RotateKeysResponse};
use tonic::{Request, Response, Status, async_trait};
use types::Timestamp;

use super::deadline_of;
use crate::keys::{Key, Keyring, RotateError};

pub(super) fn service(keys: Keyring) -> KeysServiceServer<impl KeysService> {
    KeysServiceServer::new(Keys(keys))
}

struct Keys(Keyring);

#[async_trait]
impl KeysService for Keys {
    async fn rotate_keys(
        &self,
        request: Request<RotateKeysRequest>,
    ) -> Result<Response<RotateKeysResponse>, Status> {
        let key = self.0.rotate(deadline_of(&request)).await?;
        tracing::info!(kid = key.signing.kid(), signs_from = %key.signs_from, "the next signing key is made");
        Ok(Response::new(RotateKeysResponse { key: Some(told(&key, None)) }))
    }

    async fn list_keys(
        &self,
        request: Request<ListKeysRequest>,
    ) -> Result<Response<ListKeysResponse>, Status> {
        self.0.refresh(deadline_of(&request)).await.map_err(RotateError::from)?;
        let schedule = self.0.schedule();
        let keys = schedule.with_ends().rev().map(|(key, end)| told(key, end)).collect();
        Ok(Response::new(ListKeysResponse { keys }))
    }
}

fn told(key: &Key, published_until: Option<Timestamp>) -> contract::Key {
    contract::Key {
        id: key.signing.kid().to_owned(),
        signs_from: key.signs_from.micros(),
        published_until: published_until.map(Timestamp::micros),
    }
}
