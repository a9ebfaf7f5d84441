//! What a person's program does at the edge API.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use runtime::{Clock, Deadline};
use serde_json::{Value, json};
use service_auth::{Claims, Issuer, KeySet, TokenVerifier};
use service_client::{HttpClient, SendError};
use types::{Classify as _, ErrorClass};

pub(crate) const PASSWORD: &str = "correct horse battery";

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(crate) struct Client {
    http: HttpClient<Full<Bytes>>,
    clock: Clock,
    address: &'static str,
    deadline: Duration,
}

/// An answer, without what differs each time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// What somebody has who has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Client {
    pub(crate) fn new(http: HttpClient<Full<Bytes>>, clock: Clock) -> Self {
        Self { http, clock, address: "192.0.2.7", deadline: PATIENCE }
    }

    /// The same from elsewhere.
    pub(crate) fn from(&self, address: &'static str) -> Self {
        Self { address, ..self.clone() }
    }

    /// The same, waiting for an answer no longer than that.
    pub(crate) fn waiting(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, None, Some(body)).await
    }

    /// Asks with the access token `token`.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("x-forwarded-for", self.address).header("user-agent", "curl/8.5");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(|body| serde_json::to_vec(body).unwrap()).unwrap_or_default();
        let request = request.body(Full::from(body)).unwrap();
        let answer = match self.http.send(request, Deadline::within(self.deadline)).await {
            Ok(answer) => answer,
            Err(error) => return Answer::none(&error),
        };
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        if let Some(instance) = body.get_mut("instance") {
            *instance = Value::Null;
        }
        let mut headers = head.headers;
        headers.remove("x-request-id");
        headers.remove("date");
        Answer { status: head.status, headers, body }
    }

    /// Makes an account and answers its id.
    pub(crate) async fn register(&self, email: &str) -> uuid::Uuid {
        let new = json!({ "email": email, "name": "Ada", "password": PASSWORD });
        let made = self.post("/auth/register", &new).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        made.text("id").parse().unwrap()
    }

    pub(crate) async fn try_log_in(&self, email: &str, password: &str) -> Answer {
        self.post("/auth/login", &json!({ "email": email, "password": password })).await
    }

    pub(crate) async fn log_in(&self, email: &str) -> Tokens {
        self.try_log_in(email, PASSWORD).await.tokens()
    }

    pub(crate) async fn try_refresh(&self, token: &str) -> Answer {
        self.post("/auth/refresh", &json!({ "refresh_token": token })).await
    }

    pub(crate) async fn refresh(&self, tokens: &Tokens) -> Tokens {
        self.try_refresh(&tokens.refresh).await.tokens()
    }

    pub(crate) async fn log_out(&self, token: &str) -> StatusCode {
        self.post("/auth/logout", &json!({ "refresh_token": token })).await.status
    }

    pub(crate) async fn sessions(&self, tokens: &Tokens) -> Answer {
        self.ask(Method::GET, "/auth/sessions", Some(&tokens.access), None).await
    }

    pub(crate) async fn end_session(&self, tokens: &Tokens, session: &str) -> Answer {
        let path = format!("/auth/sessions/{session}");
        self.ask(Method::DELETE, &path, Some(&tokens.access), None).await
    }

    pub(crate) async fn change_password(&self, tokens: &Tokens, current: &str, new: &str) -> Answer {
        let change = json!({ "current_password": current, "new_password": new });
        self.ask(Method::POST, "/auth/password", Some(&tokens.access), Some(&change)).await
    }

    /// The published keys.
    pub(crate) async fn jwks(&self) -> Answer {
        self.ask(Method::GET, "/.well-known/jwks.json", None, None).await
    }

    /// What an access token says, by the published keys.
    pub(crate) async fn claims(&self, token: &str) -> Claims {
        let verifier = TokenVerifier::new(Issuer::default(), &self.clock);
        verifier.set_keys(&KeySet::from_jwks(&self.jwks().await.body.to_string()).unwrap());
        *verifier.verify(token).unwrap()
    }
}

impl Answer {
    /// What a gateway makes of it.
    fn none(error: &SendError) -> Self {
        let status = match error.class() {
            ErrorClass::Unknown => StatusCode::GATEWAY_TIMEOUT,
            class => panic!("{class:?}: {error}"),
        };
        Self { status, headers: HeaderMap::new(), body: Value::Null }
    }

    #[track_caller]
    pub(crate) fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_else(|| panic!("no {member} in {self:?}"))
    }

    #[track_caller]
    pub(crate) fn tokens(&self) -> Tokens {
        Tokens {
            access: self.text("access_token").to_owned(),
            refresh: self.text("refresh_token").to_owned(),
        }
    }

    /// The fields that are wrong.
    pub(crate) fn fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect()
    }
}
