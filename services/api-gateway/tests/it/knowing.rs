use std::time::Duration;

use tokio::time::sleep;
use types::Role;

use crate::town::{Town, bearer};

/// What is revoked is refused within this, while the stream is up.
const SOON: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_route_for_users_wants_a_token_and_one_that_is_good() {
    Town::tell(async |town| {
        let none = town.get("/users/echo", "").await;
        assert_eq!(none.problem(), (401, "an access token is required".to_owned()));
        assert_eq!(none.header("www-authenticate"), Some("Bearer"));
        let claims = town.issuer.claims(&town.env);
        let forged = town.get("/users/echo", &bearer(&town.issuer.forged(&claims))).await;
        assert_eq!(forged.problem().0, 401);
        assert_eq!(forged.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
        let (_, header) = town.somebody();
        assert_eq!(town.get("/users/echo", &header).await.status(), 200);
        sleep(Duration::from_secs(600)).await;
        assert_eq!(town.get("/users/echo", &header).await.detail(), "the access token has expired");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_route_for_operators_is_closed_to_customers() {
    let routes =
        [("ROUTES", "/users/all operator user-service, /users user user-service, /auth public auth-service")];
    Town::with(&routes, async |town| {
        let (_, customer) = town.somebody();
        assert_eq!(town.get("/users/all", &customer).await.problem().0, 403);
        let operator = town
            .issuer
            .token(&service_auth::Claims { role: Role::Operator, ..town.issuer.claims(&town.env) });
        assert_eq!(town.get("/users/all", &bearer(&operator)).await.body, "all");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_token_of_a_session_that_ended_is_refused_soon_and_others_are_not() {
    Town::tell(async |town| {
        let ((ended, its_token), (_, other)) = (town.somebody(), town.somebody());
        assert_eq!(town.get("/users/echo", &its_token).await.status(), 200);
        town.issuer.revoke_session(&town.env, ended.session);
        sleep(SOON).await;
        assert_eq!(
            town.get("/users/echo", &its_token).await.problem(),
            (401, "the access token has been taken back".to_owned())
        );
        assert_eq!(town.get("/users/echo", &other).await.status(), 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn tokens_for_an_older_version_of_an_account_are_refused_soon_and_newer_ones_are_not() {
    Town::tell(async |town| {
        let (old, its_token) = town.somebody();
        let new = bearer(&town.issuer.token(&service_auth::Claims { version: 2, ..old }));
        town.issuer.revoke_user(&town.env, old.user, 2);
        sleep(SOON).await;
        assert_eq!(town.get("/users/echo", &its_token).await.problem().0, 401);
        assert_eq!(town.get("/users/echo", &new).await.status(), 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_keys_nobody_passes_and_nobody_is_refused_for_good() {
    Town::tell(async |town| {
        town.issuer.lose_keys();
        let (_, header) = town.somebody();
        // What is known stays while the issuer has none to tell.
        sleep(Duration::from_secs(120)).await;
        assert_eq!(town.get("/users/echo", &header).await.status(), 200);
        let unknown = bearer(&town.issuer.forged(&town.issuer.claims(&town.env)));
        let reply = town.get("/users/echo", &unknown).await;
        assert_eq!((reply.status(), reply.header("retry-after")), (503, Some("1")), "{reply:?}");
        town.issuer.find_keys();
    })
    .await;
}
