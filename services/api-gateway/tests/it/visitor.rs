//! A client that sends exactly the bytes it is given.

use std::fmt;
use std::time::Duration;

use runtime::Io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A connection of somebody from outside.
pub(crate) struct Visitor {
    io: Io,
    read: Vec<u8>,
}

impl Visitor {
    pub(crate) fn over(io: Io) -> Self {
        Self { io, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.io.write_all(bytes.as_ref()).await.expect("the gateway reads");
    }

    /// The next answer, which tells its length.
    pub(crate) async fn reply(&mut self) -> Reply {
        self.reply_to("GET").await
    }

    /// The same to a request by `method`, of which that of HEAD has no body.
    pub(crate) async fn reply_to(&mut self, method: &str) -> Reply {
        let head = self.head().await;
        let has_none =
            method == "HEAD" || ["204", "304"].iter().any(|status| head.contains(&format!(" {status} ")));
        let length = if has_none {
            0
        } else {
            field(&head, "content-length").map_or(0, |length| length.parse().unwrap())
        };
        in_time(async {
            while self.read.len() < length {
                assert!(self.read_some().await > 0, "the connection ended within an answer: {head}");
            }
        })
        .await;
        let body = String::from_utf8_lossy(&self.read[..length]).into_owned();
        self.read.drain(..length);
        Reply { head, body }
    }

    /// The head of the next answer.
    pub(crate) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// What comes until `end`.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        in_time(async {
            loop {
                if let Some(at) = self.read.windows(end.len()).position(|bytes| bytes == end.as_bytes()) {
                    let text = String::from_utf8_lossy(&self.read[..at]).into_owned();
                    self.read.drain(..at + end.len());
                    return text;
                }
                assert!(self.read_some().await > 0, "the connection ended before {end:?}: {:?}", self.text());
            }
        })
        .await
    }

    /// Everything until the gateway closes the connection.
    pub(crate) async fn rest(&mut self) -> String {
        in_time(async { while self.read_some().await > 0 {} }).await;
        self.text()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }

    /// A connection that is reset is as closed as any.
    async fn read_some(&mut self) -> usize {
        self.io.read_buf(&mut self.read).await.unwrap_or(0)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no status in {:?}", self.head))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    /// The detail of the problem that it must be.
    #[track_caller]
    pub(crate) fn detail(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem["status"], self.status());
        assert_eq!(problem["instance"].as_str(), self.header("x-request-id"));
        problem["detail"].as_str().unwrap_or_default().to_owned()
    }

    /// Status and detail of the problem that it must be.
    #[track_caller]
    pub(crate) fn problem(&self) -> (u16, String) {
        (self.status(), self.detail())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// As a snapshot shows it: without the date and under one id.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.header("x-request-id").unwrap_or("none").to_owned();
        let head = self.head.lines().filter(|line| !line.starts_with("date: "));
        let text = head.chain([self.body.as_str()]).collect::<Vec<_>>().join("\n");
        f.write_str(&text.replace(&id, "ID"))
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
}

/// What `wait` gives, which is longer in coming than anything here may take when it hangs.
pub(crate) async fn in_time<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(1_000), wait).await.expect("it hangs")
}
