use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tower::Service as _;

use crate::world::World;

async fn ask(world: &World, method: &Method, path: &str) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(format!("https://user-service{path}"))
        .header("content-type", "application/json")
        .header("if-match", "*")
        // What other platforms' gateways tell services by.
        .header("x-user-id", "0190b3c8-7c5e-7000-8000-000000000000")
        .header("x-user-role", "operator");
    let request = request.body(Full::<bytes::Bytes>::from("{}")).unwrap();
    let answer = world.edge("api-gateway").await.call(request).await.unwrap();
    let (head, body) = answer.into_parts();
    let mut problem: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
    assert!(problem["instance"].take().is_string());
    (head.status, problem)
}

#[tokio::test]
async fn without_an_access_token_nobody_is_let_in() {
    World::on_sqlite(async |world| {
        let ada = world.ada().await;
        let own = format!("/users/{}", ada.id);
        for (method, path) in [
            (Method::GET, "/users/me"),
            (Method::PATCH, "/users/me"),
            (Method::DELETE, "/users/me"),
            (Method::GET, own.as_str()),
            (Method::GET, "/users"),
        ] {
            let expected = json!({
                "type": "urn:flotilla:problem:unauthenticated",
                "title": "The caller is not known",
                "status": 401,
                "detail": "an access token is required",
                "instance": null,
            });
            assert_eq!(
                ask(world, &method, path).await,
                (StatusCode::UNAUTHORIZED, expected),
                "{method} {path}"
            );
        }
    })
    .await;
}
