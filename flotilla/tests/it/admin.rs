//! The admin listener, asked as kubelet and Prometheus do.

use std::net::SocketAddr;

use runtime::Env;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The status of `GET path`.
pub(crate) async fn status(env: &Env, admin: SocketAddr, path: &str) -> u16 {
    get(env, admin, path).await.0
}

/// The status and the body of `GET path`.
pub(crate) async fn get(env: &Env, admin: SocketAddr, path: &str) -> (u16, String) {
    let mut io = env.net.dial(&admin.to_string()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    io.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    io.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Waits until a service says that it is ready, which takes as long as those that it waits for.
pub(crate) async fn until_ready(env: &Env, admin: SocketAddr, service: &str) {
    /// Far more than a start takes, each over a connection of its own.
    const MOST_ASKED: usize = 5_000;
    for _ in 0..MOST_ASKED {
        if status(env, admin, "/health/ready").await == 200 {
            return;
        }
    }
    panic!("{service} does not become ready: {}", get(env, admin, "/health").await.1);
}
