use http::StatusCode;
use serde_json::{Value, json};

use crate::client::{Client, Tokens};
use crate::world::World;

async fn ids(client: &Client, tokens: &Tokens) -> Vec<String> {
    let listed = client.sessions(tokens).await;
    assert_eq!(listed.status, StatusCode::OK, "{listed:?}");
    let items = listed.body["items"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_user_sees_where_somebody_is_logged_in() {
    World::run(async |world| {
        let (client, email) = (world.client(), world.email());
        client.register(&email).await;
        let home = client.log_in(&email).await;
        let away = client.from("2001:db8::7").log_in(&email).await;
        client.register(&world.email()).await;
        let mut listed = client.sessions(&home).await.body;
        for item in listed["items"].as_array_mut().unwrap() {
            for moment in ["created_at", "last_used_at", "expires_at"] {
                let moment = item[moment].take();
                assert!(moment.as_str().is_some_and(|text| text.ends_with('Z')), "{moment}");
            }
        }
        let item = |id: &str, address: &str, current| {
            json!({
                "id": id,
                "created_at": Value::Null,
                "last_used_at": Value::Null,
                "expires_at": Value::Null,
                "user_agent": "curl/8.5",
                "address": address,
                "current": current,
            })
        };
        let (here, there) = (client.claims(&home.access).await, client.claims(&away.access).await);
        let expected = [
            item(&there.session.to_string(), "2001:db8::7", false),
            item(&here.session.to_string(), "192.0.2.7", true),
        ];
        assert_eq!(listed, json!({ "items": expected }));
    })
    .await;
}

#[tokio::test]
async fn a_user_ends_a_session_which_does_nothing_any_more() {
    World::run(async |world| {
        let (client, email) = (world.client(), world.email());
        client.register(&email).await;
        let (home, lost) = (client.log_in(&email).await, client.log_in(&email).await);
        let session = client.claims(&lost.access).await.session.to_string();
        assert_eq!(client.end_session(&home, &session).await.status, StatusCode::NO_CONTENT);
        assert_eq!(client.try_refresh(&lost.refresh).await.status, StatusCode::UNAUTHORIZED);
        let own = client.claims(&home.access).await.session.to_string();
        let refusals = [
            client.sessions(&lost).await.status,
            client.end_session(&lost, &own).await.status,
            client.change_password(&lost, crate::client::PASSWORD, "staple battery horse").await.status,
        ];
        assert_eq!(refusals, [StatusCode::UNAUTHORIZED; 3], "its access token has not expired");
        assert_eq!(ids(&client, &home).await, std::slice::from_ref(&own));
        assert_eq!(client.end_session(&home, &session).await.status, StatusCode::NOT_FOUND);
        assert_eq!(client.end_session(&home, &own).await.status, StatusCode::NO_CONTENT);
    })
    .await;
}

#[tokio::test]
async fn nobody_ends_the_session_of_another() {
    World::run(async |world| {
        let (client, [ada, grace]) = (world.client(), [world.email(), world.email()]);
        client.register(&ada).await;
        client.register(&grace).await;
        let (ada, grace) = (client.log_in(&ada).await, client.log_in(&grace).await);
        let session = client.claims(&ada.access).await.session.to_string();
        let refused = client.end_session(&grace, &session).await;
        let unknown = client.end_session(&grace, "0190b3c8-7c5e-7000-8000-000000000000").await;
        assert_eq!((refused.status, &refused), (StatusCode::NOT_FOUND, &unknown));
        let no_id = client.end_session(&grace, "7").await;
        assert_eq!((no_id.status, no_id.fields()), (StatusCode::BAD_REQUEST, vec!["/id"]));
        assert_eq!(ids(&client, &ada).await, [session]);
        client.refresh(&ada).await;
    })
    .await;
}

#[tokio::test]
async fn logging_out_ends_the_session_by_whichever_token_of_it_and_twice_is_once() {
    World::run(async |world| {
        let (client, email) = (world.client(), world.email());
        client.register(&email).await;
        let (first, other) = (client.log_in(&email).await, client.log_in(&email).await);
        let second = client.refresh(&first).await;
        for _ in 0..2 {
            assert_eq!(client.log_out(&first.refresh).await, StatusCode::NO_CONTENT);
        }
        assert_eq!(client.try_refresh(&second.refresh).await.status, StatusCode::UNAUTHORIZED);
        for nothing in ["", "a", &"a".repeat(43)] {
            assert_eq!(client.log_out(nothing).await, StatusCode::NO_CONTENT);
        }
        client.refresh(&other).await;
    })
    .await;
}

#[tokio::test]
async fn without_an_access_token_nobody_is_let_in() {
    World::run(async |world| {
        let client = world.client();
        let nobody = Tokens { access: "x".to_owned(), refresh: "x".to_owned() };
        let refusals = [
            client.sessions(&nobody).await.status,
            client.end_session(&nobody, "0190b3c8-7c5e-7000-8000-000000000000").await.status,
            client.change_password(&nobody, "a", "b").await.status,
            client.ask(http::Method::GET, "/auth/sessions", None, None).await.status,
        ];
        assert_eq!(refusals, [StatusCode::UNAUTHORIZED; 4]);
    })
    .await;
}
