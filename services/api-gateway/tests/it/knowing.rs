use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use types::Role;

use crate::issuer::Issuer;
use crate::town::{Site, Town, bearer};

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
    let routes = [(
        "ROUTES",
        "/users/echo operator user-service, /users user user-service, /auth public auth-service",
    )];
    Town::with(&routes, async |town| {
        let (_, customer) = town.somebody();
        assert_eq!(town.get("/users/echo", &customer).await.problem().0, 403);
        assert_eq!(town.get("/users/other", &customer).await.status(), 200);
        let operator = town
            .issuer
            .token(&service_auth::Claims { role: Role::Operator, ..town.issuer.claims(&town.env) });
        assert_eq!(town.get("/users/echo", &bearer(&operator)).await.status(), 200);
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
async fn before_there_are_keys_no_token_is_taken_and_none_refused_for_good() {
    Town::found(Site::in_memory(), Issuer::without_keys(), &[], async |town| {
        let (_, header) = town.somebody();
        sleep(Duration::from_secs(30)).await;
        let reply = town.get("/users/echo", &header).await;
        let detail = "the access token cannot be checked yet: the keys for it have not arrived".to_owned();
        assert_eq!((reply.problem(), reply.header("retry-after")), ((503, detail), Some("1")));
        assert_eq!(town.get("/users/echo", "").await.problem().0, 401, "there is nothing to check");
        assert_eq!(town.get("/auth/echo", &header).await.status(), 200, "what needs no token goes on");
        town.issuer.find_keys();
        sleep(Duration::from_secs(2)).await;
        assert_eq!(town.get("/users/echo", &header).await.status(), 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn while_revocations_are_not_heard_of_tokens_hold_and_what_was_missed_is_learnt_afterwards() {
    Town::tell(async |town| {
        let ((ended, its_token), (_, other)) = (town.somebody(), town.somebody());
        assert_eq!(town.revocations_age().await, 0);
        town.issuer_ends.cancel();
        sleep(Duration::from_secs(30)).await;
        town.issuer.revoke_session(&town.env, ended.session);
        sleep(SOON).await;
        assert_eq!(town.get("/users/echo", &its_token).await.status(), 200, "nobody has told");
        let age = town.revocations_age().await;
        assert!((25..=31).contains(&age), "{age}");

        let back = CancellationToken::new();
        let noticed = async {
            sleep(SOON + Duration::from_secs(2)).await;
            assert_eq!(town.get("/users/echo", &its_token).await.problem().0, 401);
            assert_eq!(town.get("/users/echo", &other).await.status(), 200);
            assert!(town.revocations_age().await <= 1);
            back.cancel();
        };
        let issuing = town.site.issuing(&town.issuer).await;
        let (ended, ()) = tokio::join!(issuing.run(back.clone()), noticed);
        assert_eq!(ended, Ok(()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn users_who_share_a_connection_are_each_told_of_themselves() {
    Town::tell(async |town| {
        let users = [town.somebody(), town.somebody(), town.somebody()];
        let mut visitor = town.visitor().await;
        for nth in 0..30 {
            let (claims, header) = &users[(nth * 7) % users.len()];
            visitor.send(format!("GET /users/me HTTP/1.1\r\nhost: a\r\n{header}\r\n")).await;
            assert_eq!(visitor.reply().await.body, claims.user.to_string());
            visitor.send("GET /users/me HTTP/1.1\r\nhost: a\r\n\r\n").await;
            assert_eq!(visitor.reply().await.status(), 401, "nothing is left of who asked before");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn before_it_is_known_what_was_revoked_no_token_is_taken_and_none_refused_for_good() {
    Town::found(Site::in_memory(), Issuer::silent(), &[], async |town| {
        let ((ended, its_token), (_, other)) = (town.somebody(), town.somebody());
        town.issuer.revoke_session(&town.env, ended.session);
        let keyless = "the access token cannot be checked yet: the keys for it have not arrived";
        let mut told = keyless.to_owned();
        while told == keyless {
            told = town.get("/users/echo", &its_token).await.detail();
        }
        assert_eq!(told, "the access token cannot be checked yet: what was revoked is not known");
        assert_eq!(town.get("/users/echo", &other).await.problem().0, 503);
        town.issuer.speak();
        sleep(SOON + Duration::from_secs(2)).await;
        assert_eq!(town.get("/users/echo", &other).await.status(), 200);
        assert_eq!(
            town.get("/users/echo", &its_token).await.detail(),
            "the access token has been taken back"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_known_stay_while_the_issuer_tells_of_none_and_others_are_not_refused_for_good() {
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
