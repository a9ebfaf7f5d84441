use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use runtime::Random;
use serde_json::{Value, json};
use service_auth::{Claims, Issuer, KeySet, SigningKey, TokenVerifier};
use tempfile::TempDir;
use tower::ServiceExt as _;
use types::{Id, Role, UserId};
use uuid::Uuid;

use super::*;
use crate::directory::fixture::{CHEAP, directory, soon};

struct World {
    router: Router,
    directory: Directory,
    key: SigningKey,
    _dir: TempDir,
}

/// An access token.
struct Token(String);

/// An answer: its status, its `etag`, and its body or the problem it is.
#[derive(Debug, PartialEq)]
struct Answer {
    status: StatusCode,
    etag: Option<String>,
    body: Value,
}

impl World {
    async fn open() -> Self {
        let (directory, dir) = directory(CHEAP).await;
        let key = SigningKey::generate(&Random::seeded(1)).0;
        let verifier = TokenVerifier::new(Issuer::default(), &directory.clock);
        verifier.set_keys(&KeySet::new([key.public()]));
        let router = edge(directory.clone()).into_router(verifier.into());
        Self { router, directory, key, _dir: dir }
    }

    fn token(&self, user: UserId, role: Role) -> Token {
        let now = self.directory.clock.now();
        let claims = Claims {
            user,
            session: Id::from_uuid(Uuid::nil()),
            role,
            version: 1,
            id: Uuid::nil(),
            issued_at: now,
            not_before: now,
            expires_at: now.after(Duration::from_secs(600)),
        };
        Token(self.key.sign(&Issuer::default(), &claims))
    }

    fn customer(&self, account: &Account) -> Token {
        self.token(account.id, Role::Customer)
    }

    fn operator(&self, account: &Account) -> Token {
        self.token(account.id, Role::Operator)
    }

    /// Asks with an access token.
    async fn ask(
        &self,
        Token(token): &Token,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).extension(soon());
        request = request.header("authorization", format!("Bearer {token}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.header("content-type", "application/json").body(Body::from(body.to_owned()));
        let response = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        answer(response).await
    }

    async fn get(&self, token: &Token, path: &str) -> Answer {
        self.ask(token, Method::GET, path, &[], "").await
    }

    async fn patch(&self, token: &Token, if_match: &str, body: &str) -> Answer {
        self.ask(token, Method::PATCH, "/users/me", &[("if-match", if_match)], body).await
    }
}

async fn answer(response: Response) -> Answer {
    let (head, body) = response.into_parts();
    let etag = |headers: &HeaderMap| Some(headers.get(ETAG)?.to_str().unwrap().to_owned());
    let body = match head.extensions.get::<Problem>() {
        Some(problem) => problem.errors().iter().map(|error| error.pointer.as_str()).collect(),
        None => {
            let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() }
        }
    };
    Answer { status: head.status, etag: etag(&head.headers), body }
}

fn refused(status: StatusCode, fields: &[&str]) -> Answer {
    Answer { status, etag: None, body: json!(fields) }
}

fn shown(account: &Account) -> Value {
    json!({
        "id": account.id.to_string(),
        "email": account.email.as_str(),
        "name": account.name.as_str(),
        "role": "customer",
        "created_at": account.created_at.to_string(),
    })
}

#[tokio::test]
async fn an_owner_reads_changes_and_deletes_the_own_account() {
    let world = World::open().await;
    let ada = world.directory.add("ada").await;
    let me = world.customer(&ada);
    let first = Answer { status: StatusCode::OK, etag: Some("\"1\"".to_owned()), body: shown(&ada) };
    assert_eq!(world.get(&me, "/users/me").await, first);
    assert_eq!(world.get(&me, &format!("/users/{}", ada.id)).await, first);

    let renamed = Account { name: "Countess".parse().unwrap(), ..ada };
    let second = Answer { status: StatusCode::OK, etag: Some("\"2\"".to_owned()), body: shown(&renamed) };
    assert_eq!(world.patch(&me, "\"1\"", r#"{"name": "Countess"}"#).await, second);
    assert_eq!(world.get(&me, "/users/me").await, second);

    let gone = world.ask(&me, Method::DELETE, "/users/me", &[("if-match", "\"2\"")], "").await;
    assert_eq!(gone, Answer { status: StatusCode::NO_CONTENT, etag: None, body: Value::Null });
    assert_eq!(world.get(&me, "/users/me").await, refused(StatusCode::NOT_FOUND, &[]));
}

#[tokio::test]
async fn a_change_names_the_version_it_was_made_for() {
    let world = World::open().await;
    let me = world.customer(&world.directory.add("ada").await);
    let stale = refused(StatusCode::PRECONDITION_FAILED, &[]);
    let body = r#"{"name": "Countess"}"#;
    let required = refused(StatusCode::PRECONDITION_REQUIRED, &[]);
    assert_eq!(world.ask(&me, Method::PATCH, "/users/me", &[], body).await, required);
    assert_eq!(world.patch(&me, "\"2\"", body).await, stale);
    assert_eq!(world.patch(&me, "W/\"1\"", body).await, stale);
    assert_eq!(world.ask(&me, Method::DELETE, "/users/me", &[("if-match", "\"2\"")], "").await, stale);
    assert_eq!(world.patch(&me, "*", body).await.etag, Some("\"2\"".to_owned()));
    let either = [("if-match", "\"1\""), ("if-match", "\"2\"")];
    let third = world.ask(&me, Method::PATCH, "/users/me", &either, r#"{"name": "Ada"}"#).await;
    assert_eq!(third.etag, Some("\"3\"".to_owned()));
}

#[tokio::test]
async fn an_account_is_deleted_without_naming_a_version() {
    let world = World::open().await;
    let me = world.customer(&world.directory.add("ada").await);
    let gone = world.ask(&me, Method::DELETE, "/users/me", &[], "").await;
    assert_eq!(gone, Answer { status: StatusCode::NO_CONTENT, etag: None, body: Value::Null });
}

#[tokio::test]
async fn the_fields_of_a_change_that_are_wrong_are_named() {
    let world = World::open().await;
    let me = world.customer(&world.directory.add("ada").await);
    for (body, fields) in [
        (r#"{"email": "ada", "name": ""}"#, &["/email", "/name"][..]),
        (r#"{"role": "operator"}"#, &["/role"]),
        (r#"{"name": null}"#, &["/name"]),
        (r#"{"name": 7}"#, &["/name"]),
        (r#"{"name": "a\u0000b"}"#, &["/name"]),
        ("{", &[]),
    ] {
        assert_eq!(world.patch(&me, "*", body).await, refused(StatusCode::BAD_REQUEST, fields), "{body}");
    }
}

#[tokio::test]
async fn an_address_that_has_an_account_is_a_conflict() {
    let world = World::open().await;
    let me = world.customer(&world.directory.add("ada").await);
    world.directory.add("grace").await;
    let taken = world.patch(&me, "*", r#"{"email": "GRACE@example.com"}"#).await;
    assert_eq!(taken, refused(StatusCode::CONFLICT, &[]));
}

#[tokio::test]
async fn a_customer_sees_no_other_account_nor_whether_there_is_one() {
    let world = World::open().await;
    let (ada, grace) = (world.directory.add("ada").await, world.directory.add("grace").await);
    let me = world.customer(&ada);
    let forbidden = refused(StatusCode::FORBIDDEN, &[]);
    assert_eq!(world.get(&me, &format!("/users/{}", grace.id)).await, forbidden);
    assert_eq!(world.get(&me, "/users/0190b3c8-7c5e-7000-8000-000000000000").await, forbidden);
    assert_eq!(world.get(&me, "/users").await, forbidden);
    let found = world.get(&world.operator(&ada), &format!("/users/{}", grace.id)).await;
    assert_eq!((found.status, found.body), (StatusCode::OK, shown(&grace)));
    assert_eq!(
        world.get(&world.operator(&ada), "/users/7").await,
        refused(StatusCode::BAD_REQUEST, &["/id"])
    );
}

#[tokio::test]
async fn an_operator_goes_through_all_accounts_page_by_page() {
    let world = World::open().await;
    let mut accounts = Vec::new();
    for name in ["ada", "grace", "barbara", "frances", "radia"] {
        accounts.push(world.directory.add(name).await);
    }
    accounts.sort_by_key(|account| account.id);
    let me = world.operator(&accounts[0]);
    let all: Vec<Value> = accounts.iter().map(shown).collect();

    let first = world.get(&me, "/users?limit=3").await.body;
    assert_eq!(first, json!({ "items": all[..3], "next_cursor": accounts[2].id.to_string() }));
    let rest = world.get(&me, &format!("/users?cursor={}&limit=3", accounts[2].id)).await.body;
    assert_eq!(rest, json!({ "items": all[3..] }));
    assert_eq!(world.get(&me, "/users?limit=5").await.body, json!({ "items": all }));

    for (query, fields) in [
        ("limit=0", &["/limit"][..]),
        ("limit=many", &["/limit"]),
        ("cursor=7&limit=201", &["/cursor", "/limit"]),
        ("order=name", &["/order"]),
    ] {
        let wrong = world.get(&me, &format!("/users?{query}")).await;
        assert_eq!(wrong, refused(StatusCode::BAD_REQUEST, fields), "{query}");
    }
}
