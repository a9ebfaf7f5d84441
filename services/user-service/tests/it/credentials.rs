use proto::flotilla::users::v1::{Account, Role, VerifyCredentialsRequest};
use proto::status;
use types::ErrorClass;

use crate::world::{PASSWORD, World, on_both_databases};

fn credentials(email: &str, password: &str) -> VerifyCredentialsRequest {
    VerifyCredentialsRequest { email: email.to_owned(), password: password.to_owned() }
}

on_both_databases! {
    async fn the_right_password_tells_the_account(world: &World) {
        let ada = world.ada().await;
        let mut accounts = world.accounts("auth-service").await;
        let verified = accounts.verify_credentials(credentials(&ada.email.to_uppercase(), PASSWORD)).await;
        let account = Account { id: ada.id, role: Role::Customer.into(), version: 1 };
        assert_eq!(verified.unwrap().into_inner().account, Some(account));
    }

    async fn a_wrong_password_and_an_unknown_address_look_the_same(world: &World) {
        let ada = world.ada().await;
        let mut accounts = world.accounts("auth-service").await;
        let mut refusals = Vec::new();
        for (email, password) in [
            (ada.email.as_str(), "wrong horse battery"),
            (ada.email.as_str(), ""),
            (&world.email(), PASSWORD),
            ("no address", PASSWORD),
        ] {
            let refused = accounts.verify_credentials(credentials(email, password)).await.unwrap_err();
            refusals.push((status::class(&refused), refused.message().to_owned(), refused.details().to_vec()));
        }
        assert_eq!(refusals[0].0, ErrorClass::Unauthenticated);
        assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");
    }
}
