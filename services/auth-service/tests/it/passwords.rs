use std::time::Duration;

use http::StatusCode;

use crate::client::{Client, PASSWORD, Tokens};
use crate::users::Fault;
use crate::world::{World, eventually};

const NEW: &str = "staple battery horse";

async fn two_sessions(world: &World) -> (Client, String, [Tokens; 2]) {
    let (client, email) = (world.client(), world.email());
    client.register(&email).await;
    let sessions = [client.log_in(&email).await, client.log_in(&email).await];
    (client, email, sessions)
}

#[tokio::test]
async fn a_change_of_the_password_ends_the_other_sessions_and_this_one_goes_on() {
    World::run(async |world| {
        let (client, email, [home, lost]) = two_sessions(world).await;
        assert_eq!(client.change_password(&home, PASSWORD, NEW).await.status, StatusCode::NO_CONTENT);
        assert_eq!(client.try_refresh(&lost.refresh).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(client.sessions(&lost).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(client.sessions(&home).await.status, StatusCode::OK, "the token of before is good");
        let home = client.refresh(&home).await;
        assert_eq!(client.try_log_in(&email, PASSWORD).await.status, StatusCode::UNAUTHORIZED);
        let new = client.try_log_in(&email, NEW).await.tokens();

        world.users.settled().await;
        world.users.unsettle();
        world.users.settled().await;
        client.refresh(&new).await;
        client.refresh(&home).await;
    })
    .await;
}

#[tokio::test]
async fn the_current_password_must_be_proven_and_the_new_one_keep_the_rules() {
    World::run(async |world| {
        let (client, email, [home, other]) = two_sessions(world).await;
        let wrong = client.change_password(&home, "wrong horse battery", NEW).await;
        assert_eq!((wrong.status, wrong.fields()), (StatusCode::BAD_REQUEST, vec!["/current_password"]));
        let short = client.change_password(&home, PASSWORD, "short").await;
        assert_eq!((short.status, short.fields()), (StatusCode::BAD_REQUEST, vec!["/new_password"]));
        client.refresh(&other).await;
        client.log_in(&email).await;
    })
    .await;
}

#[tokio::test]
async fn a_change_whose_outcome_is_unknown_is_told_as_that_and_its_consequences_come() {
    World::run(async |world| {
        let (client, email, [home, lost]) = two_sessions(world).await;
        world.users.suffer(Fault::Silent);
        let unknown = client.waiting(Duration::from_millis(500)).change_password(&home, PASSWORD, NEW).await;
        assert_eq!(unknown.status, StatusCode::GATEWAY_TIMEOUT, "{unknown:?}");
        world.users.suffer(Fault::None);
        eventually(async || (client.sessions(&lost).await.status == StatusCode::UNAUTHORIZED).then_some(()))
            .await;
        client.refresh(&home).await;
        client.try_log_in(&email, NEW).await.tokens();
    })
    .await;
}

#[tokio::test]
async fn while_user_service_is_away_nothing_changes() {
    World::run(async |world| {
        let (client, email, [home, other]) = two_sessions(world).await;
        world.users.suffer(Fault::Away);
        let away = client.change_password(&home, PASSWORD, NEW).await;
        assert_eq!(away.status, StatusCode::SERVICE_UNAVAILABLE);
        world.users.suffer(Fault::None);
        client.refresh(&other).await;
        client.log_in(&email).await;
    })
    .await;
}
