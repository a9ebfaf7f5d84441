//! The edge API: an account for its owner, all accounts for operators.

mod request;
#[cfg(test)]
mod tests;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::header::ETAG;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use chassis::{Access, Caller, Edge, Json, Problem, Query, get};
use runtime::Deadline;
use serde::Serialize;

use self::request::{Cut, IfMatch, Profile};
use crate::account::Account;
use crate::directory::{Directory, DirectoryError};

/// The operations on the `http` listener.
pub(crate) fn edge(directory: Directory) -> Edge {
    let own = get(Access::Users, show_own).patch(Access::Users, change_own).delete(Access::Users, delete_own);
    Edge::new()
        .route("/users", get(Access::Operators, list))
        .route("/users/me", own)
        .route("/users/{id}", get(Access::Users, show))
        .with_state(directory)
}

async fn show_own(
    caller: Caller,
    State(directory): State<Directory>,
    Extension(deadline): Extension<Deadline>,
) -> Result<Response, Problem> {
    let account = directory.get(caller.user, deadline).await.map_err(problem)?;
    Ok(reply(&account))
}

async fn change_own(
    caller: Caller,
    State(directory): State<Directory>,
    Extension(deadline): Extension<Deadline>,
    headers: HeaderMap,
    Json(profile): Json<Profile>,
) -> Result<Response, Problem> {
    let seen = IfMatch::required(&headers)?;
    let change = profile.change()?;
    let account = directory.change(caller.user, &change, seen.versions(), deadline).await.map_err(problem)?;
    Ok(reply(&account))
}

async fn delete_own(
    caller: Caller,
    State(directory): State<Directory>,
    Extension(deadline): Extension<Deadline>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let seen = IfMatch::of(&headers);
    let seen = seen.as_ref().and_then(IfMatch::versions);
    directory.delete(caller.user, seen, deadline).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn show(
    caller: Caller,
    State(directory): State<Directory>,
    Extension(deadline): Extension<Deadline>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = request::id(&id)?;
    // Before the account is looked for, or the answer would tell who has one.
    if id != caller.user {
        caller.must_be_operator()?;
    }
    let account = directory.get(id, deadline).await.map_err(problem)?;
    Ok(reply(&account))
}

async fn list(
    State(directory): State<Directory>,
    Extension(deadline): Extension<Deadline>,
    Query(cut): Query<Cut>,
) -> Result<Response, Problem> {
    let (after, limit) = cut.read()?;
    let page = directory.page(after, limit, deadline).await.map_err(problem)?;
    let items = page.accounts.iter().map(User::from).collect();
    let next_cursor = page.next.map(|id| id.to_string());
    Ok(axum::Json(Users { items, next_cursor }).into_response())
}

fn problem(error: DirectoryError) -> Problem {
    let fields = error.fields().to_vec();
    Problem::from(error).with_fields(fields)
}

fn reply(account: &Account) -> Response {
    let etag = format!("\"{}\"", account.version);
    ([(ETAG, etag)], axum::Json(User::from(account))).into_response()
}

#[derive(Serialize)]
struct Users {
    items: Vec<User>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct User {
    id: String,
    email: String,
    name: String,
    role: &'static str,
    created_at: String,
}

impl From<&Account> for User {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id.to_string(),
            email: account.email.to_string(),
            name: account.name.as_str().to_owned(),
            role: account.role.as_str(),
            created_at: account.created_at.to_string(),
        }
    }
}
