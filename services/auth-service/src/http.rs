//! The edge API: logging in and out.

mod reply;
mod request;

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, USER_AGENT};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use chassis::{Access, Caller, ClientAddr, Edge, Json, Problem, delete, get, post};
use types::{ErrorClass, Network};

use self::reply::{Registered, Sessions, Tokens};
use self::request::{Login, NewPassword, Registration, Token};
use crate::asking::Asking;
use crate::desk::{Desk, DeskError, Owner};
use crate::session::{Origin, UserAgent};

/// Tokens are nobody's to keep but the client's (RFC 6749, section 5.1).
const NO_STORE: &str = "no-store";

/// Half as long as a key is published before it signs.
const KEYS_FRESH: &str = "public, max-age=60";

/// RFC 7517, section 8.5.2.
const KEY_SET: &str = "application/jwk-set+json";

/// The operations on the `http` listener.
pub(crate) fn edge(desk: Desk) -> Edge {
    Edge::new()
        .route("/auth/register", post(Access::Anybody, register))
        .route("/auth/login", post(Access::Anybody, log_in))
        .route("/auth/refresh", post(Access::Anybody, refresh))
        .route("/auth/logout", post(Access::Anybody, log_out))
        .route("/auth/password", post(Access::Users, change_password))
        .route("/auth/sessions", get(Access::Users, sessions))
        .route("/auth/sessions/{id}", delete(Access::Users, end_session))
        .route("/.well-known/jwks.json", get(Access::Anybody, keys))
        .with_state(desk)
}

async fn register(
    State(desk): State<Desk>,
    asking: Asking,
    Json(sent): Json<Registration>,
) -> Result<Response, Problem> {
    let (email, name, password) = sent.read()?;
    let user = desk.register(email, name, &password, &asking).await.map_err(problem)?;
    let location = format!("/users/{}", user.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], axum::Json(Registered::from(user))).into_response())
}

async fn log_in(
    State(desk): State<Desk>,
    asking: Asking,
    ClientAddr(address): ClientAddr,
    headers: HeaderMap,
    Json(sent): Json<Login>,
) -> Result<Response, Problem> {
    let (email, password) = sent.read()?;
    let user_agent =
        headers.get(USER_AGENT).map(|agent| UserAgent::new(agent.as_bytes())).unwrap_or_default();
    let origin = Origin { address, user_agent };
    let grant = desk.log_in(email, &password, origin, &asking).await.map_err(problem)?;
    Ok(([(CACHE_CONTROL, NO_STORE)], axum::Json(Tokens::from(&grant))).into_response())
}

async fn refresh(
    State(desk): State<Desk>,
    asking: Asking,
    Json(sent): Json<Token>,
) -> Result<Response, Problem> {
    let grant = desk.refresh(&sent.read()?, &asking).await.map_err(problem)?;
    Ok(([(CACHE_CONTROL, NO_STORE)], axum::Json(Tokens::from(&grant))).into_response())
}

async fn log_out(
    State(desk): State<Desk>,
    asking: Asking,
    Json(sent): Json<Token>,
) -> Result<StatusCode, Problem> {
    desk.log_out(&sent.read()?, &asking).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn change_password(
    caller: Caller,
    State(desk): State<Desk>,
    asking: Asking,
    ClientAddr(address): ClientAddr,
    Json(sent): Json<NewPassword>,
) -> Result<StatusCode, Problem> {
    let (current, new) = sent.read()?;
    let network = Network::of(address);
    desk.change_password(owner(caller), network, &current, &new, &asking).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn sessions(caller: Caller, State(desk): State<Desk>, asking: Asking) -> Result<Response, Problem> {
    let sessions = desk.sessions(owner(caller), &asking).await.map_err(problem)?;
    Ok(axum::Json(Sessions::of(&sessions, caller.session)).into_response())
}

async fn end_session(
    caller: Caller,
    State(desk): State<Desk>,
    asking: Asking,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    desk.end_own(owner(caller), request::id(&id)?, &asking).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn keys(State(desk): State<Desk>) -> Response {
    let keys = desk.keys.published().borrow().to_jwks();
    ([(CONTENT_TYPE, KEY_SET), (CACHE_CONTROL, KEYS_FRESH)], keys).into_response()
}

fn owner(caller: Caller) -> Owner {
    Owner { user: caller.user, session: caller.session }
}

fn problem(error: DeskError) -> Problem {
    match error {
        DeskError::TooOften(wait) => {
            Problem::new(ErrorClass::TooMany, error.to_string()).with_retry_after(wait.seconds())
        }
        error => {
            let fields = error.fields();
            Problem::from(error).with_fields(fields)
        }
    }
}
