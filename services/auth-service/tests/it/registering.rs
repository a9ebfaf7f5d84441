use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::client::PASSWORD;
use crate::users::Fault;
use crate::world::World;

#[tokio::test]
async fn an_account_is_made_and_told_with_its_place() {
    World::run(async |world| {
        let new = json!({ "email": "ADA@example.com", "name": "Ada", "password": PASSWORD });
        let made = world.client().post("/auth/register", &new).await;
        let id = made.text("id").to_owned();
        assert_eq!(made.status, StatusCode::CREATED);
        assert_eq!(made.headers["location"], format!("/users/{id}"));
        let expected = json!({
            "id": id,
            "email": "ada@example.com",
            "name": "Ada",
            "role": "customer",
            "created_at": "2026-01-31T12:00:00.000000Z",
        });
        assert_eq!(made.body, expected);
        let again = world.client().post("/auth/register", &new).await;
        assert_eq!(again.status, StatusCode::CONFLICT);
        assert_eq!(again.text("detail"), "the e-mail address has an account already");
    })
    .await;
}

#[tokio::test]
async fn the_fields_that_are_wrong_are_named_whoever_finds_them() {
    World::run(async |world| {
        let client = world.client();
        for (body, fields) in [
            (json!({}), &["/email", "/name", "/password"][..]),
            (json!({ "email": "ada@example.com", "name": null, "password": PASSWORD }), &["/name"]),
            (json!({ "email": 7, "name": "Ada", "password": PASSWORD }), &["/email"]),
            (json!({ "email": "ada@example.com", "name": "Ada", "password": "short" }), &["/password"]),
            (json!({ "email": "a", "name": "b", "password": "c", "role": "operator" }), &["/role"]),
        ] {
            let refused = client.post("/auth/register", &body).await;
            assert_eq!(
                (refused.status, refused.fields()),
                (StatusCode::BAD_REQUEST, fields.to_vec()),
                "{body}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn what_did_not_happen_and_what_may_have_are_told_apart() {
    World::run(async |world| {
        let new = json!({ "email": world.email(), "name": "Ada", "password": PASSWORD });
        world.users.suffer(Fault::Away);
        let away = world.client().post("/auth/register", &new).await;
        assert_eq!(away.status, StatusCode::SERVICE_UNAVAILABLE);
        world.users.suffer(Fault::Silent);
        let hasty = world.client().waiting(Duration::from_millis(500));
        assert_eq!(hasty.post("/auth/register", &new).await.status, StatusCode::GATEWAY_TIMEOUT);
        world.users.suffer(Fault::None);
        assert_eq!(world.client().post("/auth/register", &new).await.status, StatusCode::CONFLICT);
    })
    .await;
}
