use std::time::Duration;

use database::Sql;
use http::StatusCode;
use proto::flotilla::users::v1::Role;

use crate::client::PASSWORD;
use crate::revoking::{Revoked, watch};
use crate::users::Fault;
use crate::world::{World, eventually};

const NEW: &str = "staple battery horse";

#[tokio::test]
async fn a_password_that_an_operator_resets_ends_all_sessions() {
    World::run_two(async |world| {
        let (client, email) = (world.client(), world.email());
        let user = client.register(&email).await;
        let sessions = [client.log_in(&email).await, client.log_in(&email).await];
        let mut watched = watch(world, 0).await;
        world.users.reset_password(user, NEW);
        world.users.settled().await;
        let mut ended = Vec::new();
        for tokens in &sessions {
            assert_eq!(client.try_refresh(&tokens.refresh).await.status, StatusCode::UNAUTHORIZED);
            ended.push(Revoked::Session(client.claims(&tokens.access).await.session.to_string()));
        }
        watched.must_tell(&ended).await;
        assert_eq!(client.try_log_in(&email, PASSWORD).await.status, StatusCode::UNAUTHORIZED);
        client.try_log_in(&email, NEW).await.tokens();
    })
    .await;
}

#[tokio::test]
async fn a_session_that_began_with_the_new_password_outlives_the_news_of_it() {
    World::run(async |world| {
        let (client, email) = (world.client(), world.email());
        let user = client.register(&email).await;
        world.users.suffer(Fault::Away);
        world.users.is_missed().await;
        world.users.reset_password(user, NEW);
        world.users.suffer(Fault::None);
        let new = client.try_log_in(&email, NEW).await.tokens();
        for _ in 0..2 {
            world.users.settled().await;
            world.users.unsettle();
        }
        world.users.settled().await;
        client.refresh(&new).await;
    })
    .await;
}

#[tokio::test]
async fn another_role_ends_the_tokens_of_the_old_one_and_no_session() {
    World::run(async |world| {
        let (client, email) = (world.client(), world.email());
        let user = client.register(&email).await;
        let tokens = client.log_in(&email).await;
        let mut watched = watch(world, 0).await;
        world.users.change_role(user, Role::Operator);
        watched.must_tell(&[Revoked::User(user.to_string(), 2)]).await;
        client.refresh(&tokens).await;
    })
    .await;
}

#[tokio::test]
async fn a_deleted_account_ends_all_its_sessions() {
    World::run(async |world| {
        let (client, [email, other]) = (world.client(), [world.email(), world.email()]);
        let user = client.register(&email).await;
        client.register(&other).await;
        let (tokens, other) = (client.log_in(&email).await, client.log_in(&other).await);
        let mut watched = watch(world, 0).await;
        world.users.delete(user);
        let session = client.claims(&tokens.access).await.session.to_string();
        watched.must_tell(&[Revoked::Session(session)]).await;
        assert_eq!(client.sessions(&tokens).await.status, StatusCode::UNAUTHORIZED);
        client.refresh(&other).await;
    })
    .await;
}

#[tokio::test]
async fn what_happened_while_user_service_was_not_heard_is_made_up_for() {
    World::run(async |world| {
        let (client, email) = (world.client(), world.email());
        let user = client.register(&email).await;
        let tokens = client.log_in(&email).await;
        world.users.suffer(Fault::Away);
        world.users.is_missed().await;
        world.users.reset_password(user, NEW);
        world.users.suffer(Fault::None);
        world.users.settled().await;
        assert_eq!(client.try_refresh(&tokens.refresh).await.status, StatusCode::UNAUTHORIZED);
    })
    .await;
}

#[tokio::test]
async fn a_gauge_tells_for_how_long_what_happens_to_accounts_has_not_been_followed() {
    World::run(async |world| {
        let minute = Duration::from_secs(60);
        world.users.suffer(Fault::Away);
        world.users.is_missed().await;
        world.pass(minute);
        assert!(world.account_changes_age() >= minute.as_secs());
        world.users.suffer(Fault::None);
        eventually(async || (world.account_changes_age() < minute.as_secs()).then_some(())).await;
    })
    .await;
}

#[tokio::test]
async fn a_change_whose_consequences_cannot_be_written_holds_up_no_other() {
    const REFUSE: Sql = Sql::new(
        "CREATE TRIGGER refuse BEFORE INSERT ON accounts WHEN new.least_version = 3 \
         BEGIN SELECT RAISE(ABORT, 'refused'); END",
    );
    const ALLOW: Sql = Sql::new("DROP TRIGGER refuse");
    World::run(async |world| {
        let (client, emails) = (world.client(), [world.email(), world.email()]);
        let users = [client.register(&emails[0]).await, client.register(&emails[1]).await];
        let sessions = [client.log_in(&emails[0]).await, client.log_in(&emails[1]).await];
        world.run_sql(REFUSE).await;
        world.users.suffer(Fault::Away);
        world.users.is_missed().await;
        world.users.rename(users[0]);
        for user in users {
            world.users.reset_password(user, NEW);
        }
        world.users.suffer(Fault::None);
        world.users.settled_but(1).await;
        let ended = client.try_refresh(&sessions[1].refresh).await;
        assert_eq!(ended.status, StatusCode::UNAUTHORIZED);
        world.run_sql(ALLOW).await;
        world.users.settled().await;
        assert_eq!(client.try_refresh(&sessions[0].refresh).await.status, StatusCode::UNAUTHORIZED);
    })
    .await;
}

#[tokio::test]
async fn an_account_that_was_put_back_is_a_fault_until_its_version_is_as_high_again() {
    World::run(async |world| {
        let (client, email) = (world.client(), world.email());
        let user = client.register(&email).await;
        world.users.change_role(user, Role::Operator);
        world.users.settled().await;
        let tokens = client.log_in(&email).await;
        world.users.put_back(user);
        let refused = [client.try_log_in(&email, PASSWORD).await, client.try_refresh(&tokens.refresh).await];
        assert_eq!(refused.map(|answer| answer.status), [StatusCode::INTERNAL_SERVER_ERROR; 2]);
        world.users.rename(user);
        client.log_in(&email).await;
        client.refresh(&tokens).await;
    })
    .await;
}
