use proto::flotilla::users::v1::{ChangePasswordRequest, ChangeRoleRequest, Role, VerifyCredentialsRequest};
use proto::status;
use proto::userservice::GetUserRequest;
use types::ErrorClass;

use crate::world::{PASSWORD, World, on_both_databases};

const NEW: &str = "staple battery horse";

on_both_databases! {
    async fn a_role_is_changed_and_changing_it_twice_changes_it_once(world: &World) {
        let ada = world.ada().await;
        let mut accounts = world.accounts("operator").await;
        let promote = ChangeRoleRequest { account_id: ada.id.clone(), role: Role::Operator.into() };
        for _ in 0..2 {
            let account = accounts.change_role(promote.clone()).await.unwrap().into_inner().account.unwrap();
            assert_eq!((account.role(), account.version), (Role::Operator, 2));
        }
        let read = world.users("operator").await.get_user(GetUserRequest { id: ada.id }).await.unwrap();
        assert_eq!(read.into_inner().role, "operator");
    }

    async fn a_role_must_be_one_of_those_there_are(world: &World) {
        let mut accounts = world.accounts("operator").await;
        for role in [0, 3] {
            let wrong = ChangeRoleRequest { account_id: "7".to_owned(), role };
            let refused = accounts.change_role(wrong).await.unwrap_err();
            let fields: Vec<_> = status::fields(&refused).into_iter().map(|field| field.pointer).collect();
            assert_eq!(fields, ["/account_id", "/role"]);
        }
    }

    async fn an_owner_changes_a_password_by_proving_the_current_one(world: &World) {
        let ada = world.ada().await;
        let mut accounts = world.accounts("auth-service").await;
        let change = |current: &str| ChangePasswordRequest {
            account_id: ada.id.clone(),
            current_password: Some(current.to_owned()),
            new_password: NEW.to_owned(),
            kept_session: None,
        };
        let refused = accounts.change_password(change("wrong horse battery")).await.unwrap_err();
        assert_eq!(status::class(&refused), ErrorClass::Unauthenticated);
        let account = accounts.change_password(change(PASSWORD)).await.unwrap().into_inner().account.unwrap();
        assert_eq!(account.version, 2);
        let again = accounts.change_password(change(PASSWORD)).await.unwrap_err();
        assert_eq!(status::class(&again), ErrorClass::Unauthenticated);
    }

    async fn after_a_change_the_new_password_opens_the_account_and_the_old_one_does_not(world: &World) {
        let ada = world.ada().await;
        let mut accounts = world.accounts("auth-service").await;
        let change = ChangePasswordRequest {
            account_id: ada.id.clone(),
            current_password: Some(PASSWORD.to_owned()),
            new_password: NEW.to_owned(),
            kept_session: None,
        };
        let changed = accounts.change_password(change).await.unwrap().into_inner().account;
        let log_in = |password: &str| VerifyCredentialsRequest {
            email: ada.email.clone(),
            password: password.to_owned(),
        };
        let refused = accounts.verify_credentials(log_in(PASSWORD)).await.unwrap_err();
        assert_eq!(status::class(&refused), ErrorClass::Unauthenticated);
        let opened = accounts.verify_credentials(log_in(NEW)).await.unwrap().into_inner().account;
        assert_eq!(opened, changed);
    }

    async fn an_operator_resets_a_password_under_the_same_rules(world: &World) {
        let ada = world.ada().await;
        let mut accounts = world.accounts("operator").await;
        let reset = |new: &str| ChangePasswordRequest {
            account_id: ada.id.clone(),
            current_password: None,
            new_password: new.to_owned(),
            kept_session: None,
        };
        for new in ["short", "password1", &ada.email.to_uppercase()] {
            let refused = accounts.change_password(reset(new)).await.unwrap_err();
            let fields: Vec<_> = status::fields(&refused).into_iter().map(|field| field.pointer).collect();
            assert_eq!(fields, ["/new_password"], "{new}");
        }
        let account = accounts.change_password(reset(NEW)).await.unwrap().into_inner().account.unwrap();
        assert_eq!(account.version, 2);
    }
}
