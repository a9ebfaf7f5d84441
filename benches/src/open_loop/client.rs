use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::RETRY_AFTER;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use runtime::Env;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Asked, End};

type Connection = SendRequest<Full<Bytes>>;

/// Longer than most people wait. The gateway waits for 30 seconds where a route does not say otherwise.
const PATIENCE: Duration = Duration::from_secs(15);
/// A connection that was closed while it was idle is nobody's fault; one after the other is.
const MOST_CONNECTIONS_TRIED: usize = 3;

/// People's programs: HTTP/1.1 over connections that are kept, each for one request at a time.
pub(crate) struct Client {
    pub(crate) env: Env,
    addr: SocketAddr,
    /// As many as were in flight at once.
    idle: Mutex<Vec<Connection>>,
}

impl Client {
    pub(crate) fn new(env: &Env, addr: SocketAddr) -> Self {
        Self { env: env.clone(), addr, idle: Mutex::default() }
    }

    /// Sends a request that was to begin at `began`, and again when the answer says when to, at most `retries` times; how
    /// it ended, and how often it was sent.
    pub(crate) async fn ask(&self, request: &Asked, began: Instant, retries: u32) -> (End, u32) {
        let by = began + PATIENCE;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let answer = match timeout_at(by, self.attempt(request)).await {
                Err(_elapsed) => return (End::Late, attempts),
                Ok(Err(_)) => return (End::Broken, attempts),
                Ok(Ok(answer)) => answer,
            };
            if answer.status().is_success() {
                return (End::Answered, attempts);
            }
            let Some(pause) = retry_after(&answer) else {
                return (End::Status(answer.status().as_u16()), attempts);
            };
            // Those who were refused together do not come back together.
            let pause = pause + self.env.random.jitter(pause);
            if attempts > retries || Instant::now() + pause >= by {
                return (End::Refused, attempts);
            }
            sleep(pause).await;
        }
    }

    async fn attempt(&self, request: &Asked) -> Result<Response<()>> {
        let mut request = request.clone();
        for _ in 0..MOST_CONNECTIONS_TRIED {
            let mut connection = self.connection().await?;
            match connection.try_send_request(request).await {
                Ok(answer) => {
                    let (head, body) = answer.into_parts();
                    body.collect().await?;
                    self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                    return Ok(Response::from_parts(head, ()));
                }
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(failed.into_error().into()),
                },
            }
        }
        bail!("every connection was closed before the request was sent")
    }

    async fn connection(&self) -> Result<Connection> {
        while let Some(mut kept) = self.kept() {
            if kept.ready().await.is_ok() {
                return Ok(kept);
            }
        }
        let io = self.env.net.dial(&self.addr.to_string()).await?;
        let (connection, driver) = handshake(TokioIo::new(io)).await?;
        // Whoever still asks when it has ended is told by the sender.
        self.env.tasks.spawn("connection", async move { drop(driver.await) });
        Ok(connection)
    }

    fn kept(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// After how long a refused request may come again.
fn retry_after(answer: &Response<()>) -> Option<Duration> {
    let is_refusal =
        matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let told = answer.headers().get(RETRY_AFTER).filter(|_| is_refusal)?;
    told.to_str().ok()?.parse().ok().map(Duration::from_secs)
}
