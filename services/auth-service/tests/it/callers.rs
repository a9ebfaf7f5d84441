use proto::flotilla::auth::v1::{
    GetKeysRequest, ListKeysRequest, RotateKeysRequest, WatchRevocationsRequest,
};
use tonic::Code;

use crate::world::World;

const METHODS: [&str; 4] = ["GetKeys", "WatchRevocations", "ListKeys", "RotateKeys"];

/// The methods that do not refuse `caller`.
async fn permitted(world: &World, caller: &str) -> Vec<&'static str> {
    let (mut tokens, mut keys) = (world.tokens(caller), world.keys(caller));
    let refusals = [
        tokens.get_keys(GetKeysRequest {}).await.err(),
        tokens.watch_revocations(WatchRevocationsRequest { since: 0 }).await.err(),
        keys.list_keys(ListKeysRequest {}).await.err(),
        keys.rotate_keys(RotateKeysRequest {}).await.err(),
    ];
    let refused = refusals.map(|refused| refused.is_some_and(|it| it.code() == Code::PermissionDenied));
    METHODS.into_iter().zip(refused).filter(|(_, refused)| !refused).map(|(method, _)| method).collect()
}

#[tokio::test]
async fn every_caller_may_do_what_it_needs_and_nothing_else() {
    World::run(async |world| {
        assert_eq!(permitted(world, "operator").await, ["GetKeys", "ListKeys", "RotateKeys"]);
        assert_eq!(permitted(world, "api-gateway").await, ["GetKeys", "WatchRevocations"]);
        for other in ["user-service", "order-service", "auth-service"] {
            assert_eq!(permitted(world, other).await, ["GetKeys"], "{other}");
        }
    })
    .await;
}
