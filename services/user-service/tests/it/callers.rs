use proto::flotilla::users::v1::{ChangePasswordRequest, ChangeRoleRequest, VerifyCredentialsRequest};
use proto::status;
use proto::userservice::{CreateUserRequest, DeleteUserRequest, GetUserRequest, UpdateUserRequest};
use types::ErrorClass;

use crate::world::World;

const METHODS: [&str; 7] = [
    "GetUser",
    "CreateUser",
    "UpdateUser",
    "DeleteUser",
    "VerifyCredentials",
    "ChangePassword",
    "ChangeRole",
];

/// The methods that do not refuse `caller`; every request is wrong in itself, so that nothing happens.
async fn permitted(world: &World, caller: &str) -> Vec<&'static str> {
    let (mut users, mut accounts) = (world.users(caller).await, world.accounts(caller).await);
    let refusals = [
        users.get_user(GetUserRequest::default()).await.unwrap_err(),
        users.create_user(CreateUserRequest::default()).await.unwrap_err(),
        users.update_user(UpdateUserRequest::default()).await.unwrap_err(),
        users.delete_user(DeleteUserRequest::default()).await.unwrap_err(),
        accounts.verify_credentials(VerifyCredentialsRequest::default()).await.unwrap_err(),
        accounts.change_password(ChangePasswordRequest::default()).await.unwrap_err(),
        accounts.change_role(ChangeRoleRequest::default()).await.unwrap_err(),
    ];
    let classes = refusals.map(|refused| status::class(&refused));
    let methods = METHODS.into_iter().zip(classes);
    methods.filter(|(_, class)| *class != ErrorClass::Forbidden).map(|(method, _)| method).collect()
}

#[tokio::test]
async fn every_caller_may_do_what_it_needs_and_nothing_else() {
    World::on_sqlite(async |world| {
        assert_eq!(permitted(world, "operator").await, METHODS);
        let auth = ["GetUser", "CreateUser", "VerifyCredentials", "ChangePassword", "ChangeRole"];
        assert_eq!(permitted(world, "auth-service").await, auth);
        assert_eq!(permitted(world, "order-service").await, ["GetUser"]);
        assert_eq!(permitted(world, "notification-service").await, ["GetUser"]);
        for other in ["api-gateway", "payment-service", "inventory-service", "user-service"] {
            assert_eq!(permitted(world, other).await, [""; 0], "{other}");
        }
    })
    .await;
}
