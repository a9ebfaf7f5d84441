use proto::flotilla::users::v1::{
    ChangePasswordRequest, ChangeRoleRequest, GetAccountRequest, SettleChangesRequest,
    VerifyCredentialsRequest, WatchChangesRequest,
};
use proto::status;
use proto::userservice::{CreateUserRequest, DeleteUserRequest, GetUserRequest, UpdateUserRequest};
use types::ErrorClass;

use crate::world::World;

const METHODS: [&str; 10] = [
    "GetUser",
    "CreateUser",
    "UpdateUser",
    "DeleteUser",
    "VerifyCredentials",
    "ChangePassword",
    "ChangeRole",
    "GetAccount",
    "WatchChanges",
    "SettleChanges",
];

/// The methods that do not refuse `caller`; every request that changes something is wrong in itself.
async fn permitted(world: &World, caller: &str) -> Vec<&'static str> {
    let (mut users, mut accounts) = (world.users(caller).await, world.accounts(caller).await);
    let wrong = SettleChangesRequest { ids: vec![String::new()] };
    let refusals = [
        users.get_user(GetUserRequest::default()).await.err(),
        users.create_user(CreateUserRequest::default()).await.err(),
        users.update_user(UpdateUserRequest::default()).await.err(),
        users.delete_user(DeleteUserRequest::default()).await.err(),
        accounts.verify_credentials(VerifyCredentialsRequest::default()).await.err(),
        accounts.change_password(ChangePasswordRequest::default()).await.err(),
        accounts.change_role(ChangeRoleRequest::default()).await.err(),
        accounts.get_account(GetAccountRequest::default()).await.err(),
        accounts.watch_changes(WatchChangesRequest::default()).await.err(),
        accounts.settle_changes(wrong).await.err(),
    ];
    let classes = refusals.map(|refused| refused.as_ref().map(status::class));
    let methods = METHODS.into_iter().zip(classes);
    methods.filter(|(_, class)| *class != Some(ErrorClass::Forbidden)).map(|(method, _)| method).collect()
}

#[tokio::test]
async fn every_caller_may_do_what_it_needs_and_nothing_else() {
    World::on_sqlite(async |world| {
        assert_eq!(permitted(world, "operator").await, METHODS[..8]);
        let auth = [
            "CreateUser",
            "VerifyCredentials",
            "ChangePassword",
            "GetAccount",
            "WatchChanges",
            "SettleChanges",
        ];
        assert_eq!(permitted(world, "auth-service").await, auth);
        assert_eq!(permitted(world, "order-service").await, ["GetUser"]);
        assert_eq!(permitted(world, "notification-service").await, ["GetUser"]);
        for other in ["api-gateway", "payment-service", "inventory-service", "user-service"] {
            assert_eq!(permitted(world, other).await, [""; 0], "{other}");
        }
    })
    .await;
}
