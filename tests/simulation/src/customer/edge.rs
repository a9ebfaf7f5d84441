//! The edge API in the words of the history.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, IF_MATCH};
use http::{Method, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::history::{Account, Answer, Grant, Refusal, Request, Shown};
use crate::hosts::GATEWAY;

use super::http::Reply;
use super::tokens::{Texts, Tokens};

/// The request as it is sent.
pub(super) fn message(request: &Request, tokens: &Tokens) -> http::Request<Full<Bytes>> {
    let (method, path, body) = outline(request, tokens);
    let mut message = http::Request::builder().method(method).uri(path).header(HOST, GATEWAY);
    if let Some(grant) = request.with() {
        message = message.header(AUTHORIZATION, format!("Bearer {}", tokens.of(grant).access_token));
    }
    if let Request::ChangeMe { etag, .. } = request {
        message = message.header(IF_MATCH, etag);
    }
    let body = match body {
        Some(json) => {
            message = message.header(CONTENT_TYPE, "application/json");
            Full::from(json.to_string())
        }
        None => Full::default(),
    };
    message.body(body).expect("ids and tokens are fit for paths and headers")
}

fn outline(request: &Request, tokens: &Tokens) -> (Method, String, Option<Value>) {
    let refresh_token = |grant: &Grant| Some(json!({ "refresh_token": tokens.of(grant).refresh_token }));
    let (method, path, body) = match request {
        Request::Register { email, name, password } => (
            Method::POST,
            "/auth/register",
            Some(json!({ "email": email, "name": name, "password": password })),
        ),
        Request::LogIn { email, password } => {
            (Method::POST, "/auth/login", Some(json!({ "email": email, "password": password })))
        }
        Request::Refresh(grant) => (Method::POST, "/auth/refresh", refresh_token(grant)),
        Request::LogOut(grant) => (Method::POST, "/auth/logout", refresh_token(grant)),
        Request::ListSessions(_) => (Method::GET, "/auth/sessions", None),
        Request::EndSession { session, .. } => {
            return (Method::DELETE, format!("/auth/sessions/{session}"), None);
        }
        Request::ChangePassword { current, new, .. } => {
            let body = json!({ "current_password": current, "new_password": new });
            (Method::POST, "/auth/password", Some(body))
        }
        Request::ShowMe(_) => (Method::GET, "/users/me", None),
        Request::ChangeMe { email, name, .. } => {
            let given = [("email", email), ("name", name)].into_iter();
            let given = given.filter_map(|(field, value)| Some((field.to_owned(), json!(value.as_ref()?))));
            (Method::PATCH, "/users/me", Some(Value::Object(given.collect())))
        }
        Request::DeleteMe(_) => (Method::DELETE, "/users/me", None),
        Request::ShowUser { id, .. } => return (Method::GET, format!("/users/{id}"), None),
        Request::ShowKeys => (Method::GET, "/.well-known/jwks.json", None),
        Request::ChangeRole { .. } | Request::RotateKeys => {
            unreachable!("the operator asks for it, and not at the edge")
        }
    };
    (method, path.to_owned(), body)
}

/// What the reply to the request says.
pub(super) fn answer(request: &Request, reply: &Reply, tokens: &mut Tokens) -> Answer {
    if reply.status.is_success() {
        let read = success(request, reply, tokens);
        return read.unwrap_or_else(|| unexpected(reply));
    }
    match reply.status {
        StatusCode::BAD_REQUEST if names_current_password(reply) => Answer::Refused(Refusal::WrongPassword),
        StatusCode::UNAUTHORIZED => Answer::Refused(Refusal::Unauthenticated),
        StatusCode::FORBIDDEN => Answer::Refused(Refusal::Forbidden),
        StatusCode::NOT_FOUND => Answer::Refused(Refusal::NotFound),
        StatusCode::CONFLICT => Answer::Refused(Refusal::Conflict),
        StatusCode::PRECONDITION_FAILED | StatusCode::TOO_MANY_REQUESTS => Answer::NotDone,
        StatusCode::SERVICE_UNAVAILABLE => Answer::NotNow,
        StatusCode::GATEWAY_TIMEOUT => Answer::Unknown,
        _ => unexpected(reply),
    }
}

#[derive(Deserialize)]
struct User {
    id: String,
    email: String,
    name: String,
    role: String,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kid: String,
}

/// `None`: it is not what was asked for.
fn success(request: &Request, reply: &Reply, tokens: &mut Tokens) -> Option<Answer> {
    let expected = match request {
        Request::Register { .. } => StatusCode::CREATED,
        Request::LogOut(_)
        | Request::EndSession { .. }
        | Request::ChangePassword { .. }
        | Request::DeleteMe(_) => StatusCode::NO_CONTENT,
        _ => StatusCode::OK,
    };
    if reply.status != expected {
        return None;
    }
    Some(match request {
        Request::LogOut(_)
        | Request::EndSession { .. }
        | Request::ChangePassword { .. }
        | Request::DeleteMe(_) => Answer::Done,
        Request::LogIn { .. } | Request::Refresh(_) => {
            let texts: Texts = serde_json::from_slice(&reply.body).ok()?;
            tokens.receive(texts).map_or_else(|why| Answer::Unexpected(why.to_owned()), Answer::Granted)
        }
        Request::ListSessions(_) => {
            let page: Page = serde_json::from_slice(&reply.body).ok()?;
            Answer::Sessions(page.items.into_iter().map(|session| session.id).collect())
        }
        Request::ShowKeys => {
            let set: KeySet = serde_json::from_slice(&reply.body).ok()?;
            Answer::Keys(set.keys.into_iter().map(|key| key.kid).collect())
        }
        _ => Answer::Account(user(reply)?),
    })
}

fn user(reply: &Reply) -> Option<Shown> {
    let User { id, email, name, role } = serde_json::from_slice(&reply.body).ok()?;
    let etag = reply.headers.get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
    Some(Shown { account: Account { id, email, name }, role, etag })
}

/// Whether it is a problem with that field alone.
fn names_current_password(reply: &Reply) -> bool {
    let problem: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let errors = problem["errors"].as_array();
    errors.is_some_and(|errors| {
        !errors.is_empty() && errors.iter().all(|error| error["pointer"] == "/current_password")
    })
}

fn unexpected(reply: &Reply) -> Answer {
    Answer::Unexpected(format!("{}: {}", reply.status, String::from_utf8_lossy(&reply.body)))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn a_current_password_is_wrong_where_the_problem_is_with_that_field_alone() {
        let names = |body: Value| {
            let (status, body) = (StatusCode::BAD_REQUEST, Bytes::from(body.to_string()));
            names_current_password(&Reply { status, headers: HeaderMap::new(), body })
        };
        let at = |field: &str| json!({ "pointer": field });
        assert!(names(json!({ "errors": [at("/current_password")] })));
        let others = [
            json!({ "errors": [at("/current_password"), at("/new_password")] }),
            json!({ "errors": [] }),
            json!({}),
        ];
        for other in others {
            assert!(!names(other.clone()), "{other}");
        }
    }
}
