use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use chassis::Role;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::*;
use crate::directory::fixture::{CHEAP, directory, soon};

struct Edge {
    router: Router,
    directory: Directory,
    _dir: TempDir,
}

/// An answer: its status, its `etag`, and its body or the problem it is.
#[derive(Debug, PartialEq)]
struct Answer {
    status: StatusCode,
    etag: Option<String>,
    body: Value,
}

impl Edge {
    async fn open() -> Self {
        let (directory, dir) = directory(CHEAP).await;
        Self { router: routes(directory.clone()), directory, _dir: dir }
    }

    /// Asks on behalf of `caller`, whose access token has been checked.
    async fn ask(
        &self,
        caller: Caller,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).extension(caller).extension(soon());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.header("content-type", "application/json").body(Body::from(body.to_owned()));
        let response = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        answer(response).await
    }

    async fn get(&self, caller: Caller, path: &str) -> Answer {
        self.ask(caller, Method::GET, path, &[], "").await
    }

    async fn patch(&self, caller: Caller, if_match: &str, body: &str) -> Answer {
        self.ask(caller, Method::PATCH, "/users/me", &[("if-match", if_match)], body).await
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

fn customer(account: &Account) -> Caller {
    Caller { user: account.id, role: Role::Customer }
}

fn operator(account: &Account) -> Caller {
    Caller { user: account.id, role: Role::Operator }
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
    let edge = Edge::open().await;
    let ada = edge.directory.add("ada").await;
    let me = customer(&ada);
    let first = Answer { status: StatusCode::OK, etag: Some("\"1\"".to_owned()), body: shown(&ada) };
    assert_eq!(edge.get(me, "/users/me").await, first);
    assert_eq!(edge.get(me, &format!("/users/{}", ada.id)).await, first);

    let renamed = Account { name: "Countess".parse().unwrap(), ..ada };
    let second = Answer { status: StatusCode::OK, etag: Some("\"2\"".to_owned()), body: shown(&renamed) };
    assert_eq!(edge.patch(me, "\"1\"", r#"{"name": "Countess"}"#).await, second);
    assert_eq!(edge.get(me, "/users/me").await, second);

    let gone = edge.ask(me, Method::DELETE, "/users/me", &[("if-match", "\"2\"")], "").await;
    assert_eq!(gone, Answer { status: StatusCode::NO_CONTENT, etag: None, body: Value::Null });
    assert_eq!(edge.get(me, "/users/me").await, refused(StatusCode::NOT_FOUND, &[]));
}

#[tokio::test]
async fn a_change_names_the_version_it_was_made_for() {
    let edge = Edge::open().await;
    let me = customer(&edge.directory.add("ada").await);
    let stale = refused(StatusCode::PRECONDITION_FAILED, &[]);
    let body = r#"{"name": "Countess"}"#;
    let required = refused(StatusCode::PRECONDITION_REQUIRED, &[]);
    assert_eq!(edge.ask(me, Method::PATCH, "/users/me", &[], body).await, required);
    assert_eq!(edge.patch(me, "\"2\"", body).await, stale);
    assert_eq!(edge.patch(me, "W/\"1\"", body).await, stale);
    assert_eq!(edge.ask(me, Method::DELETE, "/users/me", &[("if-match", "\"2\"")], "").await, stale);
    assert_eq!(edge.patch(me, "*", body).await.etag, Some("\"2\"".to_owned()));
    let either = [("if-match", "\"1\""), ("if-match", "\"2\"")];
    let third = edge.ask(me, Method::PATCH, "/users/me", &either, r#"{"name": "Ada"}"#).await;
    assert_eq!(third.etag, Some("\"3\"".to_owned()));
}

#[tokio::test]
async fn an_account_is_deleted_without_naming_a_version() {
    let edge = Edge::open().await;
    let me = customer(&edge.directory.add("ada").await);
    let gone = edge.ask(me, Method::DELETE, "/users/me", &[], "").await;
    assert_eq!(gone, Answer { status: StatusCode::NO_CONTENT, etag: None, body: Value::Null });
}

#[tokio::test]
async fn the_fields_of_a_change_that_are_wrong_are_named() {
    let edge = Edge::open().await;
    let me = customer(&edge.directory.add("ada").await);
    for (body, fields) in [
        (r#"{"email": "ada", "name": ""}"#, &["/email", "/name"][..]),
        (r#"{"role": "operator"}"#, &["/role"]),
        (r#"{"name": null}"#, &["/name"]),
        (r#"{"name": 7}"#, &["/name"]),
        (r#"{"name": "a\u0000b"}"#, &["/name"]),
        ("{", &[]),
    ] {
        assert_eq!(edge.patch(me, "*", body).await, refused(StatusCode::BAD_REQUEST, fields), "{body}");
    }
}

#[tokio::test]
async fn an_address_that_has_an_account_is_a_conflict() {
    let edge = Edge::open().await;
    let me = customer(&edge.directory.add("ada").await);
    edge.directory.add("grace").await;
    let taken = edge.patch(me, "*", r#"{"email": "GRACE@example.com"}"#).await;
    assert_eq!(taken, refused(StatusCode::CONFLICT, &[]));
}

#[tokio::test]
async fn a_customer_sees_no_other_account_nor_whether_there_is_one() {
    let edge = Edge::open().await;
    let (ada, grace) = (edge.directory.add("ada").await, edge.directory.add("grace").await);
    let me = customer(&ada);
    let forbidden = refused(StatusCode::FORBIDDEN, &[]);
    assert_eq!(edge.get(me, &format!("/users/{}", grace.id)).await, forbidden);
    assert_eq!(edge.get(me, "/users/0190b3c8-7c5e-7000-8000-000000000000").await, forbidden);
    assert_eq!(edge.get(me, "/users").await, forbidden);
    let found = edge.get(operator(&ada), &format!("/users/{}", grace.id)).await;
    assert_eq!((found.status, found.body), (StatusCode::OK, shown(&grace)));
    assert_eq!(edge.get(operator(&ada), "/users/7").await, refused(StatusCode::BAD_REQUEST, &["/id"]));
}

#[tokio::test]
async fn an_operator_goes_through_all_accounts_page_by_page() {
    let edge = Edge::open().await;
    let mut accounts = Vec::new();
    for name in ["ada", "grace", "barbara", "frances", "radia"] {
        accounts.push(edge.directory.add(name).await);
    }
    accounts.sort_by_key(|account| account.id);
    let me = operator(&accounts[0]);
    let all: Vec<Value> = accounts.iter().map(shown).collect();

    let first = edge.get(me, "/users?limit=3").await.body;
    assert_eq!(first, json!({ "items": all[..3], "next_cursor": accounts[2].id.to_string() }));
    let rest = edge.get(me, &format!("/users?cursor={}&limit=3", accounts[2].id)).await.body;
    assert_eq!(rest, json!({ "items": all[3..] }));
    assert_eq!(edge.get(me, "/users?limit=5").await.body, json!({ "items": all }));

    for (query, fields) in [
        ("limit=0", &["/limit"][..]),
        ("limit=many", &["/limit"]),
        ("cursor=7&limit=201", &["/cursor", "/limit"]),
        ("order=name", &["/order"]),
    ] {
        let wrong = edge.get(me, &format!("/users?{query}")).await;
        assert_eq!(wrong, refused(StatusCode::BAD_REQUEST, fields), "{query}");
    }
}
