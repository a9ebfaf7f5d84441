//! Somebody who comes in by the gateway, as programs and people do.

use std::io;
use std::net::SocketAddr;

use runtime::{Deadline, Env};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::program::PATIENCE;
use crate::together::PASSWORD;

#[derive(Clone)]
pub(crate) struct Visitor {
    env: Env,
    gateway: SocketAddr,
}

/// What the gateway answered: the status, and the body if it is JSON.
pub(crate) type Answer = (u16, Value);

impl Visitor {
    pub(crate) fn of(gateway: SocketAddr) -> Self {
        Self { env: Env::system(1), gateway }
    }

    pub(crate) async fn register(&self, email: &str) -> io::Result<Answer> {
        self.post("/auth/register", &json!({"email": email, "name": "Ada", "password": PASSWORD})).await
    }

    /// How the first request is answered that reaches a gateway which may still have to start.
    pub(crate) async fn register_first(&self, email: &str) -> Answer {
        let asked = async {
            loop {
                if let Ok(answer) = self.register(email).await {
                    return answer;
                }
                tokio::task::yield_now().await;
            }
        };
        Deadline::within(PATIENCE).bound(asked).await.expect("the gateway opens")
    }

    pub(crate) async fn log_in(&self, email: &str, password: &str) -> io::Result<Answer> {
        self.post("/auth/login", &json!({"email": email, "password": password})).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> io::Result<Answer> {
        self.post("/auth/refresh", &json!({"refresh_token": token})).await
    }

    pub(crate) async fn log_out(&self, token: &str) -> io::Result<Answer> {
        self.post("/auth/logout", &json!({"refresh_token": token})).await
    }

    pub(crate) async fn me(&self, access_token: &str) -> io::Result<Answer> {
        self.ask("GET /users/me", &format!("authorization: Bearer {access_token}\r\n"), "").await
    }

    async fn post(&self, path: &str, body: &Value) -> io::Result<Answer> {
        let body = body.to_string();
        let headers = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        self.ask(&format!("POST {path}"), &headers, &body).await
    }

    /// One request on a connection of its own.
    async fn ask(&self, what: &str, headers: &str, body: &str) -> io::Result<Answer> {
        let mut io = self.env.net.dial(&self.gateway.to_string()).await?;
        let host = self.gateway;
        let request = format!("{what} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n{body}");
        io.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        io.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.ok_or(io::ErrorKind::InvalidData)?, serde_json::from_str(body).unwrap_or_default()))
    }
}

/// A text of an answer.
pub(crate) fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name].as_str().unwrap_or_else(|| panic!("no {name} in {body}"))
}
