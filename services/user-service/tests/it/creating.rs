use proto::status;
use proto::userservice::{CreateUserRequest, GetUserRequest, User};
use types::{ErrorClass, Timestamp, UserId};

use crate::world::{PASSWORD, World, on_both_databases};

fn new(email: &str) -> CreateUserRequest {
    CreateUserRequest { email: email.to_owned(), name: " Ada ".to_owned(), password: PASSWORD.to_owned() }
}

on_both_databases! {
    async fn a_new_account_is_a_customers_and_can_be_read_by_its_id(world: &World) {
        let (email, mut users) = (world.email(), world.users("operator").await);
        let made = users.create_user(new(&email.to_uppercase())).await.unwrap().into_inner();
        let User { id, created_at, .. } = made.clone();
        let expected = User {
            id: id.clone(),
            email,
            name: "Ada".to_owned(),
            role: "customer".to_owned(),
            created_at: created_at.clone(),
        };
        assert_eq!(made, expected);
        assert!(id.parse::<UserId>().is_ok(), "{id}");
        assert_eq!(created_at.parse::<Timestamp>().map(|at| at.to_string()), Ok(created_at));
        let read = users.get_user(GetUserRequest { id }).await.unwrap().into_inner();
        assert_eq!(read, made);
    }

    async fn an_e_mail_address_has_one_account_in_whatever_case_it_is_written(world: &World) {
        let (email, mut users) = (world.email(), world.users("operator").await);
        users.create_user(new(&email)).await.unwrap();
        let refused = users.create_user(new(&email.to_uppercase())).await.unwrap_err();
        assert_eq!(status::class(&refused), ErrorClass::Conflict);
        assert_eq!(refused.message(), "the e-mail address has an account already");
    }

    async fn of_many_who_want_one_e_mail_address_at_once_one_gets_it(world: &World) {
        let email = world.email();
        let users = world.users("operator").await;
        let tries = (0..16).map(|_| {
            let mut users = users.clone();
            let new = new(&email);
            async move { users.create_user(new).await.map_err(|refused| status::class(&refused)) }
        });
        let outcomes = futures_util::future::join_all(tries).await;
        let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        let taken = outcomes.iter().filter(|outcome| matches!(outcome, Err(ErrorClass::Conflict))).count();
        assert_eq!((made, taken), (1, 15), "{outcomes:?}");
    }

    async fn all_wrong_fields_are_told_at_once(world: &World) {
        let wrong =
            CreateUserRequest { email: "ada".to_owned(), name: "\0".to_owned(), password: "short".to_owned() };
        let refused = world.users("operator").await.create_user(wrong).await.unwrap_err();
        assert_eq!(status::class(&refused), ErrorClass::Invalid);
        let fields = status::fields(&refused).into_iter().map(|field| (field.pointer, field.detail));
        let expected = [
            ("/email", "must be an e-mail address such as ada@example.com"),
            ("/name", "must be 1 to 200 characters without control characters"),
            ("/password", "must be 8 to 128 characters"),
        ];
        assert!(fields.eq(expected.map(|(pointer, detail)| (pointer.to_owned(), detail.to_owned()))));
    }

    async fn a_common_password_is_refused(world: &World) {
        let common = CreateUserRequest { password: "Password1".to_owned(), ..new(&world.email()) };
        let refused = world.users("operator").await.create_user(common).await.unwrap_err();
        let fields = status::fields(&refused);
        assert_eq!(fields.len(), 1);
        assert_eq!(fields[0].pointer, "/password");
        assert_eq!(fields[0].detail, "is among the most common passwords; choose another");
    }
}
