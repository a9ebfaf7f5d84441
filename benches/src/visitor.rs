//! A person's program: plain HTTP to the gateway.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use runtime::Env;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// One connection.
pub(crate) struct Visitor(SendRequest<Full<Bytes>>);

/// A platform that starts for the first time makes its keys.
const READY_WITHIN: Duration = Duration::from_secs(20);
const ASKING: Duration = Duration::from_millis(20);

pub(crate) const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery";

impl Visitor {
    pub(crate) async fn connect(env: &Env, addr: SocketAddr) -> Result<Self> {
        let io = env.net.dial(&addr.to_string()).await?;
        let (connection, driver) = handshake(TokioIo::new(io)).await?;
        // Whoever still asks when it has ended is told by the sender.
        env.tasks.spawn("connection", async move { drop(driver.await) });
        Ok(Self(connection))
    }

    /// Makes Ada's account, as soon as the platform is ready for that.
    pub(crate) async fn register(&mut self) -> Result<()> {
        self.register_as(ADA).await
    }

    /// Makes the account of `email`, as soon as the platform is ready for that.
    pub(crate) async fn register_as(&mut self, email: &str) -> Result<()> {
        let (began, body) = (Instant::now(), json!({"email": email, "name": "Ada", "password": PASSWORD}));
        while self.post("/auth/register", &body).await?.0 != StatusCode::CREATED {
            ensure!(began.elapsed() < READY_WITHIN, "nobody can be registered");
            sleep(ASKING).await;
        }
        Ok(())
    }

    /// Logs Ada in; her access token.
    pub(crate) async fn log_in(&mut self) -> Result<String> {
        let body = json!({"email": ADA, "password": PASSWORD});
        let (status, answer) = self.post("/auth/login", &body).await?;
        ensure!(status == StatusCode::OK, "the login was answered {status}: {answer}");
        answer["access_token"].as_str().map(str::to_owned).context("no access_token")
    }

    /// Tries a password.
    pub(crate) async fn guess(&mut self, email: &str, password: &str) -> Result<StatusCode> {
        let body = json!({"email": email, "password": password});
        Ok(self.post("/auth/login", &body).await?.0)
    }

    /// Reads the account that `bearer` is for.
    pub(crate) async fn me(&mut self, bearer: &str) -> Result<StatusCode> {
        Ok(self.send(read_account(bearer)?).await?.0)
    }

    /// What is at `path`, for everybody.
    pub(crate) async fn get(&mut self, path: &str) -> Result<(StatusCode, Bytes)> {
        self.send(Request::get(path).header(HOST, "localhost").body(Full::default())?).await
    }

    async fn post(&mut self, path: &str, body: &Value) -> Result<(StatusCode, Value)> {
        let (status, body) = self.send(posted(path, body)?).await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes)> {
        self.0.ready().await?;
        let response = self.0.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

/// The request for the account that `bearer` is for.
pub(crate) fn read_account(bearer: &str) -> Result<Request<Full<Bytes>>> {
    let request = Request::get("/users/me").header(HOST, "localhost").header(AUTHORIZATION, bearer);
    Ok(request.body(Full::default())?)
}

/// The request by which `email` logs in.
pub(crate) fn log_in(email: &str) -> Result<Request<Full<Bytes>>> {
    posted("/auth/login", &json!({"email": email, "password": PASSWORD}))
}

fn posted(path: &str, body: &Value) -> Result<Request<Full<Bytes>>> {
    let request = Request::builder().method(Method::POST).uri(path).header(HOST, "localhost");
    Ok(request.header(CONTENT_TYPE, "application/json").body(Full::from(body.to_string()))?)
}
