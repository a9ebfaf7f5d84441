//! The edge API of a service that runs, and the users it lets in.

use std::time::Duration;

use chassis::{Access, Assembly, Caller, Edge, KeySource, Service, get, post};
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Request, StatusCode};
use runtime::Random;
use service_auth::{Alpn, Claims, Issuer, KeySet, SigningKey};
use tokio::sync::watch;
use types::{Role, UserId};

use crate::harness::RawClient;
use crate::lifecycle::{GATEWAY, with};
use crate::town::Town;

fn key(seed: u64) -> SigningKey {
    SigningKey::generate(&Random::seeded(seed)).0
}

/// A service that issues its tokens itself.
async fn shop(town: &Town, keys: watch::Receiver<KeySet>) -> Service {
    let platform = town.shop();
    let me = async |caller: Caller| format!("{} {}", caller.role, caller.user);
    let http = Edge::new()
        .route("/me", get(Access::Users, me))
        .route("/me/tea", post(Access::Users, me))
        .route("/all", get(Access::Operators, me));
    let assembly = Assembly { http, keys: KeySource::Own(keys), ..Assembly::new(&platform.trust_domain) };
    assembly.bind(&platform).await.unwrap()
}

/// The header of a token that is good for an hour.
fn bearer(town: &Town, key: &SigningKey, user: UserId, issuer: &Issuer) -> String {
    let now = town.env().clock.now();
    let claims = Claims {
        user,
        session: town.env().ids.next(),
        role: Role::Customer,
        version: 1,
        id: town.env().ids.uuid(),
        issued_at: now,
        not_before: now,
        expires_at: now.after(Duration::from_secs(3600)),
    };
    format!("Bearer {}", key.sign(issuer, &claims))
}

#[tokio::test]
async fn the_edge_api_is_the_gateways_and_wants_a_user() {
    let town = Town::new();
    let (_keys, current) = watch::channel(KeySet::new([key(1).public()]));
    let user = town.env().ids.next();
    let token = bearer(&town, &key(1), user, &Issuer::default());
    let (_, ()) = with(shop(&town, current).await, async |addrs, shutdown| {
        let ask = async |caller, path| town.get(caller, addrs.http, path).await;
        let nowhere = ask("order-service", "/nowhere").await;
        assert_eq!(nowhere.status, StatusCode::FORBIDDEN, "no map for strangers");
        assert_eq!(ask(GATEWAY, "/nowhere").await.status, StatusCode::NOT_FOUND);
        let other = ask("order-service", "/me").await;
        assert_eq!(other.status, StatusCode::FORBIDDEN);
        assert!(other.body.contains("spiffe://flotilla.internal/service/order-service may not call /me"));
        let nobody = ask(GATEWAY, "/me").await;
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
        assert_eq!(nobody.headers[WWW_AUTHENTICATE], "Bearer");
        assert_eq!(nobody.headers[CONTENT_TYPE], "application/problem+json");

        let known = async |path: &str| {
            let request = Request::get(format!("https://shop{path}")).header(AUTHORIZATION, &token);
            town.send(GATEWAY, addrs.http, request).await.unwrap()
        };
        assert_eq!(known("/me").await.body, format!("customer {user}"));
        assert_eq!(known("/all").await.status, StatusCode::FORBIDDEN);
        shutdown.cancel();
    })
    .await;
}

#[tokio::test]
async fn a_refusal_before_the_end_of_the_request_is_the_last_answer_of_its_connection() {
    let town = Town::new();
    let (_keys, current) = watch::channel(KeySet::new([key(1).public()]));
    let (_, ()) = with(shop(&town, current).await, async |addrs, shutdown| {
        let mut client = RawClient::over(town.secured(GATEWAY, addrs.http, Alpn::Http1).await);
        client.send("POST /me/tea HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let reply = client.reply().await;
        assert_eq!((reply.status(), reply.header("connection")), (401, None), "nothing is left unread");
        client.send("POST /me/tea HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n").await;
        client.send("x".repeat(50_000)).await;
        let reply = client.reply().await;
        assert_eq!((reply.status(), reply.header("connection")), (401, Some("close")));
        assert_eq!(client.rest().await, "");
        shutdown.cancel();
    })
    .await;
}

#[tokio::test]
async fn a_service_follows_its_own_keys() {
    let town = Town::new();
    let (keys, current) = watch::channel(KeySet::default());
    let (old, new) = (key(1), key(2));
    let user = town.env().ids.next();
    let tokens = [&old, &new].map(|key| bearer(&town, key, user, &Issuer::default()));
    let (_, ()) = with(shop(&town, current).await, async |addrs, shutdown| {
        let until = async |expected: [u16; 2]| {
            let status = async |token: &str| {
                let request = Request::get("https://shop/me").header(AUTHORIZATION, token);
                town.send(GATEWAY, addrs.http, request).await.unwrap().status.as_u16()
            };
            while [status(&tokens[0]).await, status(&tokens[1]).await] != expected {}
        };
        until([503, 503]).await;
        for (set, expected) in [
            (vec![old.public()], [200, 401]),
            (vec![new.public(), old.public()], [200, 200]),
            (vec![new.public()], [401, 200]),
        ] {
            keys.send_replace(KeySet::new(set));
            until(expected).await;
        }
        shutdown.cancel();
    })
    .await;
}
