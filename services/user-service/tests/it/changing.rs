use proto::status;
use proto::userservice::{DeleteUserRequest, Empty, GetUserRequest, UpdateUserRequest, User};
use types::ErrorClass;

use crate::world::{World, on_both_databases};

/// Far more than ever want to change one account at once.
const AT_ONCE: usize = 64;

fn nobody() -> String {
    "0190b3c8-7c5e-7000-8000-000000000000".to_owned()
}

fn rename(id: &str, name: &str) -> UpdateUserRequest {
    UpdateUserRequest { id: id.to_owned(), name: Some(name.to_owned()), email: None }
}

on_both_databases! {
    async fn a_change_touches_what_it_names_alone(world: &World) {
        let (ada, mut users) = (world.ada().await, world.users("operator").await);
        let renamed = users.update_user(rename(&ada.id, "Countess")).await.unwrap().into_inner();
        assert_eq!(renamed, User { name: "Countess".to_owned(), ..ada.clone() });
        let email = world.email();
        let moved = UpdateUserRequest { id: ada.id.clone(), email: Some(email.to_uppercase()), name: None };
        let moved = users.update_user(moved).await.unwrap().into_inner();
        assert_eq!(moved, User { email, name: "Countess".to_owned(), ..ada.clone() });
        let read = users.get_user(GetUserRequest { id: ada.id }).await.unwrap().into_inner();
        assert_eq!(read, moved);
    }

    async fn an_account_cannot_take_the_e_mail_address_of_another(world: &World) {
        let (ada, grace) = (world.ada().await, world.ada().await);
        let stolen = UpdateUserRequest { id: grace.id, email: Some(ada.email), name: None };
        let refused = world.users("operator").await.update_user(stolen).await.unwrap_err();
        assert_eq!(status::class(&refused), ErrorClass::Conflict);
    }

    async fn an_address_that_was_given_up_can_be_taken(world: &World) {
        let (ada, mut users) = (world.ada().await, world.users("operator").await);
        let leave = UpdateUserRequest { id: ada.id, email: Some(world.email()), name: None };
        users.update_user(leave).await.unwrap();
        let take = UpdateUserRequest { id: world.ada().await.id, email: Some(ada.email.clone()), name: None };
        assert_eq!(users.update_user(take).await.unwrap().into_inner().email, ada.email);
    }

    async fn changes_at_once_all_take_effect_one_after_the_other(world: &World) {
        let ada = world.ada().await;
        let users = world.users("operator").await;
        let changes = (0..AT_ONCE).map(|n| {
            let mut users = users.clone();
            let change = rename(&ada.id, &format!("Ada {n:02}"));
            async move { users.update_user(change).await.map(|user| user.into_inner().name) }
        });
        let mut names = futures_util::future::try_join_all(changes).await.unwrap();
        names.sort();
        assert_eq!(names, (0..AT_ONCE).map(|n| format!("Ada {n:02}")).collect::<Vec<_>>());
        let mut accounts = world.accounts("operator").await;
        let role = proto::flotilla::users::v1::ChangeRoleRequest { account_id: ada.id, role: 1 };
        let account = accounts.change_role(role).await.unwrap().into_inner().account.unwrap();
        assert_eq!(account.version, 65);
    }

    async fn a_deleted_account_is_gone_for_every_call(world: &World) {
        let (ada, mut users) = (world.ada().await, world.users("operator").await);
        let gone = DeleteUserRequest { id: ada.id.clone() };
        assert_eq!(users.delete_user(gone.clone()).await.unwrap().into_inner(), Empty {});
        let refusals = [
            users.get_user(GetUserRequest { id: ada.id.clone() }).await.unwrap_err(),
            users.update_user(rename(&ada.id, "Ada")).await.unwrap_err(),
            users.delete_user(gone).await.unwrap_err(),
        ];
        assert_eq!(refusals.map(|refused| status::class(&refused)), [ErrorClass::NotFound; 3]);
    }

    async fn what_never_was_is_not_found(world: &World) {
        let mut users = world.users("operator").await;
        let refused = users.get_user(GetUserRequest { id: nobody() }).await.unwrap_err();
        assert_eq!(status::class(&refused), ErrorClass::NotFound);
        assert_eq!(refused.message(), "there is no such account");
    }

    async fn an_id_that_is_none_and_every_other_wrong_field_are_named(world: &World) {
        let wrong = UpdateUserRequest {
            id: "7".to_owned(),
            email: Some("ada".to_owned()),
            name: Some(String::new()),
        };
        let refused = world.users("operator").await.update_user(wrong).await.unwrap_err();
        assert_eq!(status::class(&refused), ErrorClass::Invalid);
        let fields: Vec<_> = status::fields(&refused).into_iter().map(|field| field.pointer).collect();
        assert_eq!(fields, ["/id", "/email", "/name"]);
    }
}
