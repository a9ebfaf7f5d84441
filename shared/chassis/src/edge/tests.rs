use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use futures_util::{FutureExt as _, stream};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, StatusCode};
use runtime::{Clock, Deadline, Random};
use service_auth::{Claims, Issuer, KeySet, SigningKey, TokenVerifier};
use tower::ServiceExt as _;
use types::{Id, Role, Timestamp};
use uuid::Uuid;

use super::*;
use crate::{Caller, Problem};

const NOW: Timestamp = Timestamp::from_micros(1_785_000_000_000_000);

struct Shop {
    key: SigningKey,
    router: Router,
}

fn edge() -> Edge {
    let whoever = async || "welcome";
    let caller = async |State(greeting): State<&'static str>, caller: Caller| {
        format!("{greeting} {} {} {} {}", caller.role, caller.user, caller.session, caller.version)
    };
    // It reads the body before anything else of it runs.
    let notes = async |body: String| body;
    Edge::new()
        .route("/tea", get(Access::Anybody, whoever))
        .route("/me", get(Access::Users, caller).patch(Access::Users, notes).delete(Access::Users, whoever))
        .route(
            "/all",
            get(Access::Operators, caller).post(Access::Operators, notes).put(Access::Operators, notes),
        )
        .route("/nobody", get(Access::Anybody, caller))
        .with_state("hello")
}

impl Shop {
    fn open() -> Self {
        let key = SigningKey::generate(&Random::seeded(1)).0;
        let shop = Self::without_keys(key);
        let verifier = verifier();
        verifier.set_keys(&KeySet::new([shop.key.public()]));
        Self { router: edge().into_router(verifier.into()), ..shop }
    }

    fn without_keys(key: SigningKey) -> Self {
        Self { key, router: edge().into_router(verifier().into()) }
    }

    fn token(&self, role: Role) -> String {
        self.key.sign(&Issuer::default(), &claims(role))
    }

    /// The status, and the body or the problem's words.
    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
        let (status, told, _) = self.ask_for_challenge(method, path, headers).await;
        (status, told)
    }

    async fn ask_for_challenge(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, String, HeaderMap) {
        let deadline = Deadline::within(Duration::from_secs(60));
        let mut request = Request::builder().method(method).uri(path).extension(deadline);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::from("note")).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        if let Some(problem) = head.extensions.get::<Problem>() {
            return (head.status, problem.detail().to_owned(), problem.render("7").0);
        }
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (head.status, String::from_utf8(body.to_vec()).unwrap(), head.headers)
    }
}

fn verifier() -> TokenVerifier {
    TokenVerifier::new(Issuer::default(), &Clock::reading(|| NOW))
}

fn claims(role: Role) -> Claims {
    let id = Uuid::from_u128;
    Claims {
        user: Id::from_uuid(id(1)),
        session: Id::from_uuid(id(2)),
        role,
        version: 4,
        id: id(3),
        issued_at: NOW,
        not_before: NOW,
        expires_at: NOW.after(Duration::from_secs(600)),
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// What a handler tells of the caller.
fn told(role: &str) -> String {
    format!("hello {role} 00000000-0000-0000-0000-000000000001 00000000-0000-0000-0000-000000000002 4")
}

#[tokio::test]
async fn each_operation_is_for_those_it_was_declared_for() {
    let shop = Shop::open();
    let (customer, operator) = (bearer(&shop.token(Role::Customer)), bearer(&shop.token(Role::Operator)));
    let refused = (StatusCode::FORBIDDEN, "this is for operators".to_owned());
    let nobody = (StatusCode::UNAUTHORIZED, "an access token is required".to_owned());
    let ok = |text: &str| (StatusCode::OK, text.to_owned());
    for (method, path, of_customer, of_operator, of_nobody) in [
        (Method::GET, "/tea", ok("welcome"), ok("welcome"), ok("welcome")),
        (Method::GET, "/me", ok(&told("customer")), ok(&told("operator")), nobody.clone()),
        (Method::PATCH, "/me", ok("note"), ok("note"), nobody.clone()),
        (Method::DELETE, "/me", ok("welcome"), ok("welcome"), nobody.clone()),
        (Method::GET, "/all", refused.clone(), ok(&told("operator")), nobody.clone()),
        (Method::POST, "/all", refused.clone(), ok("note"), nobody.clone()),
        (Method::PUT, "/all", refused.clone(), ok("note"), nobody.clone()),
    ] {
        let ask = async |headers: &[(&str, &str)]| shop.ask(method.clone(), path, headers).await;
        assert_eq!(ask(&[("authorization", &customer)]).await, of_customer, "{method} {path}");
        assert_eq!(ask(&[("authorization", &operator)]).await, of_operator, "{method} {path}");
        assert_eq!(ask(&[]).await, of_nobody, "{method} {path}");
    }
    let head = shop.ask(Method::HEAD, "/all", &[("authorization", &customer)]).await;
    assert_eq!(head.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn no_header_but_a_good_token_makes_a_caller() {
    let shop = Shop::open();
    let user = "00000000-0000-0000-0000-000000000001";
    for header in [
        ("x-user-id", user),
        ("x-user", user),
        ("x-forwarded-user", user),
        ("x-auth-request-user", user),
        ("x-user-role", "operator"),
        ("caller", user),
        ("cookie", "access_token=x"),
        ("x-access-token", &shop.token(Role::Operator)),
        ("authorization", &shop.token(Role::Operator)),
        ("authorization", "Basic YWRhOnNlY3JldA=="),
        ("authorization", "Bearer"),
        ("authorization", ""),
        ("proxy-authorization", &bearer(&shop.token(Role::Operator))),
    ] {
        let (status, told) = shop.ask(Method::GET, "/me", &[header]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{header:?}");
        assert_eq!(told, "an access token is required", "{header:?}");
    }
    let query = format!("/me?access_token={}", shop.token(Role::Operator));
    assert_eq!(shop.ask(Method::GET, &query, &[]).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_refusal_does_not_wait_for_the_body() {
    let shop = Shop::open();
    let ask = async |token: Option<&str>| {
        let endless = stream::pending::<Result<Bytes, Infallible>>();
        let deadline = Deadline::within(Duration::from_secs(60));
        let request = Request::post("/all").extension(deadline);
        let request = token.into_iter().fold(request, |request, token| request.header(AUTHORIZATION, token));
        let request = request.body(Body::from_stream(endless)).unwrap();
        shop.router.clone().oneshot(request).now_or_never().expect("it is answered at once").unwrap().status()
    };
    assert_eq!(ask(None).await, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(Some("Bearer nonsense")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(Some(&bearer(&shop.token(Role::Customer)))).await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_operation_for_anybody_looks_at_no_token_and_has_no_caller() {
    let shop = Shop::open();
    for token in ["nonsense", &shop.token(Role::Operator)] {
        let headers = [("authorization", &*bearer(token))];
        assert_eq!(shop.ask(Method::GET, "/tea", &headers).await.0, StatusCode::OK);
        assert_eq!(shop.ask(Method::GET, "/nobody", &headers).await.0, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn the_scheme_of_a_token_is_read_in_any_case() {
    let shop = Shop::open();
    let token = shop.token(Role::Customer);
    for scheme in ["Bearer ", "bearer ", "BEARER ", "Bearer   "] {
        let header = format!("{scheme}{token}");
        let (status, _) = shop.ask(Method::GET, "/me", &[("authorization", &header)]).await;
        assert_eq!(status, StatusCode::OK, "{scheme}");
    }
    for header in [format!("Bearer\t{token}"), format!("Bearer {token} {token}"), format!("Bearer {token},")]
    {
        let (status, _) = shop.ask(Method::GET, "/me", &[("authorization", &header)]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{header}");
    }
}

#[tokio::test]
async fn a_refusal_tells_whether_a_token_is_missing_or_bad() {
    let shop = Shop::open();
    let challenge = async |headers: &[(&str, &str)]| {
        let (status, told, headers) = shop.ask_for_challenge(Method::GET, "/me", headers).await;
        (status, told, headers[WWW_AUTHENTICATE].to_str().unwrap().to_owned())
    };
    let missing = (StatusCode::UNAUTHORIZED, "an access token is required".into(), "Bearer".into());
    assert_eq!(challenge(&[]).await, missing);
    let old = Claims { expires_at: NOW, ..claims(Role::Customer) };
    let old = bearer(&shop.key.sign(&Issuer::default(), &old));
    let expired = (
        StatusCode::UNAUTHORIZED,
        "the access token has expired".into(),
        r#"Bearer error="invalid_token""#.into(),
    );
    assert_eq!(challenge(&[(AUTHORIZATION.as_str(), &old)]).await, expired);
}

#[tokio::test]
async fn while_there_are_no_keys_nobody_is_known_and_nobody_is_refused_for_good() {
    let shop = Shop::without_keys(SigningKey::generate(&Random::seeded(1)).0);
    let token = bearer(&shop.token(Role::Operator));
    for path in ["/me", "/all"] {
        let (status, told) = shop.ask(Method::GET, path, &[("authorization", &token)]).await;
        let expected = "the access token cannot be checked yet: the keys for it have not arrived";
        assert_eq!((status, told.as_str()), (StatusCode::SERVICE_UNAVAILABLE, expected), "{path}");
        assert_eq!(shop.ask(Method::GET, path, &[]).await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(shop.ask(Method::GET, "/tea", &[]).await.0, StatusCode::OK);
}

#[test]
fn the_operations_are_told_in_the_order_in_which_they_were_declared() {
    let told: Vec<_> = edge().operations().iter().map(|it| format!("{it}: {}", it.access)).collect();
    let expected = [
        "GET /tea: anybody",
        "GET /me: users",
        "PATCH /me: users",
        "DELETE /me: users",
        "GET /all: operators",
        "POST /all: operators",
        "PUT /all: operators",
        "GET /nobody: anybody",
    ];
    assert_eq!(told, expected);
}
