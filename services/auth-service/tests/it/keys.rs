use std::time::Duration;

use http::StatusCode;
use proto::flotilla::auth::v1::{GetKeysRequest, Key, ListKeysRequest, RotateKeysRequest};
use proto::status;
use service_auth::{Issuer, KeySet, TokenError, TokenVerifier};
use types::ErrorClass;

use crate::client::Client;
use crate::world::{World, eventually};

const MINUTE: Duration = Duration::from_secs(60);

async fn rotate(world: &World) -> Key {
    world.keys("operator").rotate_keys(RotateKeysRequest {}).await.unwrap().into_inner().key.unwrap()
}

async fn list(world: &World) -> Vec<Key> {
    world.keys("operator").list_keys(ListKeysRequest {}).await.unwrap().into_inner().keys
}

async fn published(client: &Client) -> Vec<String> {
    let set = KeySet::from_jwks(&client.jwks().await.body.to_string()).unwrap();
    set.iter().map(|key| key.kid().to_owned()).collect()
}

/// Waits until both instances, which answer in turns, say yes.
async fn everywhere(mut ask: impl AsyncFnMut() -> bool) {
    eventually(async || (ask().await && ask().await).then_some(())).await;
}

/// The name of the key that signs, by the header of a token.
fn signer(token: &str) -> String {
    use base64::Engine as _;
    let header = token.split('.').next().unwrap();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_keys_are_public_and_the_same_for_everybody() {
    World::run_two(async |world| {
        let answer = world.client().jwks().await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers["content-type"], "application/jwk-set+json");
        assert_eq!(answer.headers["cache-control"], "public, max-age=60");
        let [key] = &list(world).await[..] else { panic!("there is one key") };
        assert_eq!(published(&world.client()).await, std::slice::from_ref(&key.id));
        assert_eq!(key.published_until, None);
        for caller in ["order-service", "api-gateway", "operator"] {
            let keys = world.tokens(caller).get_keys(GetKeysRequest {}).await.unwrap().into_inner();
            let keys: serde_json::Value = serde_json::from_str(&keys.jwks).unwrap();
            assert_eq!(keys, answer.body);
        }
    })
    .await;
}

#[tokio::test]
async fn a_rotation_overlaps_so_that_no_token_is_refused_meanwhile() {
    World::run_two(async |world| {
        let (client, email) = (world.client(), world.email());
        client.register(&email).await;
        let old = client.log_in(&email).await;
        let before = signer(&old.access);

        let next = rotate(world).await;
        let again = world.keys("operator").rotate_keys(RotateKeysRequest {}).await.unwrap_err();
        assert_eq!(status::class(&again), ErrorClass::Conflict);
        everywhere(async || published(&client).await.contains(&next.id)).await;
        for _ in 0..2 {
            assert_eq!(signer(&client.log_in(&email).await.access), before, "it is only published yet");
        }
        let [new, last] = &list(world).await[..] else { panic!("there are two keys") };
        assert_eq!((&new.id, new.published_until), (&next.id, None));
        assert_eq!((&last.id, last.published_until.is_some()), (&before, true));

        world.pass(MINUTE * 3);
        for _ in 0..2 {
            assert_eq!(signer(&client.log_in(&email).await.access), next.id);
            assert_eq!(client.sessions(&old).await.status, StatusCode::OK, "the old key is published");
        }
        world.pass(MINUTE * 12);
        everywhere(async || published(&client).await == [next.id.clone()]).await;
        let verifier = TokenVerifier::new(Issuer::default(), &world.clock());
        verifier.set_keys(&KeySet::from_jwks(&client.jwks().await.body.to_string()).unwrap());
        assert_eq!(verifier.verify(&old.access), Err(TokenError::UnknownKey));
        assert_eq!(client.sessions(&old).await.status, StatusCode::UNAUTHORIZED);
    })
    .await;
}
