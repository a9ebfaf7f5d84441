use std::time::Duration;

use futures_util::future::join;
use http::{Method, StatusCode};
use serde_json::json;
use types::Role;

use crate::client::PASSWORD;
use crate::users::Fault;
use crate::world::World;

#[tokio::test]
async fn whoever_proves_a_password_gets_two_tokens_that_nobody_keeps_on_the_way() {
    World::run(async |world| {
        let (client, email) = (world.client(), world.email());
        let user = client.register(&email).await;
        let answer = client.try_log_in(&email.to_uppercase(), PASSWORD).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers["cache-control"], "no-store");
        let tokens = answer.tokens();
        let expected = json!({
            "access_token": tokens.access,
            "token_type": "Bearer",
            "expires_in": 600,
            "refresh_token": tokens.refresh,
        });
        assert_eq!(answer.body, expected);
        assert_eq!(tokens.refresh.len(), 43);

        let claims = client.claims(&tokens.access).await;
        assert_eq!((claims.user.uuid(), claims.role, claims.version), (user, Role::Customer, 1));
        assert_eq!(claims.not_before, claims.issued_at);
        assert_eq!(claims.expires_at.since(claims.issued_at), Duration::from_secs(600));
        let other = client.claims(&client.log_in(&email).await.access).await;
        assert_ne!((other.session, other.id), (claims.session, claims.id));
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_an_unknown_address_and_one_that_is_none_look_the_same() {
    World::run(async |world| {
        let (client, email) = (world.client(), world.email());
        client.register(&email).await;
        let first = client.try_log_in(&email, "wrong horse battery").await;
        assert_eq!(first.status, StatusCode::UNAUTHORIZED);
        assert_eq!(first.text("detail"), "the e-mail address and the password do not belong together");
        for (email, password) in
            [(email.as_str(), ""), (&world.email(), PASSWORD), ("ada", PASSWORD), ("", "")]
        {
            assert_eq!(client.try_log_in(email, password).await, first, "{email}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_login_that_lacks_something_is_told_what() {
    World::run(async |world| {
        let refused = world.client().post("/auth/login", &json!({})).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert_eq!(refused.fields(), ["/email", "/password"]);
    })
    .await;
}

#[tokio::test]
async fn while_nobody_can_tell_whose_a_password_is_nobody_is_refused_for_it() {
    World::run(async |world| {
        let (client, email) = (world.client(), world.email());
        client.register(&email).await;
        world.users.suffer(Fault::Away);
        for _ in 0..20 {
            let away = client.try_log_in(&email, PASSWORD).await;
            assert_eq!(away.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(away.headers["retry-after"], "1");
        }
        world.users.suffer(Fault::None);
        client.log_in(&email).await;
    })
    .await;
}

#[tokio::test]
async fn what_was_proven_before_a_change_of_the_password_begins_nothing_after_it() {
    World::run(async |world| {
        let (client, email) = (world.client(), world.email());
        let user = client.register(&email).await;
        world.users.suffer(Fault::Slow);
        let change = async {
            world.users.holds_somebody().await;
            world.users.reset_password(user, "staple battery horse");
            world.users.settled().await;
            world.users.suffer(Fault::None);
        };
        let (late, ()) = join(client.try_log_in(&email, PASSWORD), change).await;
        assert_eq!(late.status, StatusCode::SERVICE_UNAVAILABLE, "{late:?}");
        assert_eq!(client.try_log_in(&email, PASSWORD).await.status, StatusCode::UNAUTHORIZED);
        client.try_log_in(&email, "staple battery horse").await.tokens();
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_is_no_access_token_and_the_other_way_round() {
    World::run(async |world| {
        let (client, email) = (world.client(), world.email());
        client.register(&email).await;
        let tokens = client.log_in(&email).await;
        let refused = client.ask(Method::GET, "/auth/sessions", Some(&tokens.refresh), None).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert_eq!(client.try_refresh(&tokens.access).await.status, StatusCode::UNAUTHORIZED);
    })
    .await;
}

#[tokio::test]
async fn the_hundred_and_first_session_ends_the_first() {
    World::run(async |world| {
        let (client, email) = (world.client(), world.email());
        client.register(&email).await;
        let first = client.log_in(&email).await;
        for _ in 0..100 {
            client.log_in(&email).await;
        }
        assert_eq!(client.try_refresh(&first.refresh).await.status, StatusCode::UNAUTHORIZED);
        let newest = client.log_in(&email).await;
        let listed = client.sessions(&newest).await;
        assert_eq!(listed.body["items"].as_array().map(Vec::len), Some(100));
    })
    .await;
}
