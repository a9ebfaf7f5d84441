//! A server on loopback or in memory, and a client that sends exactly the bytes it is given.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use chassis::{
    Bounds, Drained, Gate, Handler, Health, Inbound, Kind, Limits, Operation, Server, Shedding, Stack,
    Transport,
};
use runtime::{Clock, Env, Io, Listen, Listener, Net, Network, Random};
use telemetry::{Metrics, Red};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use types::{ServiceName, Timestamp};

/// A server under test.
pub(crate) struct World {
    pub(crate) env: Env,
    pub(crate) metrics: Metrics,
    pub(crate) red: Red,
    address: String,
    shutdown: CancellationToken,
    drained: oneshot::Receiver<Drained>,
}

/// How the server under test differs from the ordinary.
pub(crate) struct Setup {
    pub(crate) handler: Handler,
    pub(crate) kind: Kind,
    pub(crate) transport: Transport,
    pub(crate) limits: Limits,
    pub(crate) bounds: Bounds,
    pub(crate) operators: Vec<Operation>,
    pub(crate) drain: Duration,
}

impl Setup {
    pub(crate) fn of(router: Router) -> Self {
        Self::answering(Handler::Routes(router))
    }

    pub(crate) fn answering(handler: Handler) -> Self {
        Self {
            handler,
            kind: Kind::Http,
            transport: Transport::Plain,
            limits: Limits::default(),
            bounds: Bounds::default(),
            operators: Vec::new(),
            drain: Duration::from_secs(10),
        }
    }

    /// Listens on loopback.
    pub(crate) async fn on_loopback(self) -> World {
        self.start(Env::system(1)).await
    }

    /// Listens in memory, where a paused clock moves only when nothing else can.
    pub(crate) async fn in_memory(self) -> World {
        self.start(in_memory()).await
    }

    pub(crate) async fn start(self, env: Env) -> World {
        let listener = env.net.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        self.start_on(env, listener)
    }

    pub(crate) fn start_on(self, env: Env, listener: Listener) -> World {
        let metrics = Metrics::new(&ServiceName::new("test-service"), "1");
        let address = listener.local_addr().unwrap().to_string();
        let red = Red::new(&metrics);
        let inbound = Inbound::new(Stack {
            kind: self.kind,
            gate: Gate::OPEN,
            handler: self.handler,
            bounds: self.bounds,
            shedding: Shedding::ByLoad,
            operators: self.operators,
            env: env.clone(),
            red: red.clone(),
            health: Health::new(),
        });
        let server =
            Server { name: "http", listener, transport: self.transport, inbound, limits: self.limits };
        let (shutdown, (told, drained)) = (CancellationToken::new(), oneshot::channel());
        let (served, told_to) = ((env.clone(), metrics.clone()), shutdown.clone());
        env.tasks.spawn("server", async move {
            let drained = server.run(&served.0, &served.1, told_to, self.drain).await;
            told.send(drained).expect("the test outlives its server");
        });
        World { env, metrics, red, address, shutdown, drained }
    }
}

impl World {
    pub(crate) async fn dial(&self) -> io::Result<Io> {
        self.env.net.dial(&self.address).await
    }

    pub(crate) async fn connect(&self) -> RawClient {
        RawClient::over(self.dial().await.expect("the server listens"))
    }

    /// One request on a connection of its own, and the answer.
    pub(crate) async fn ask(&self, request: impl AsRef<[u8]>) -> Reply {
        let mut client = self.connect().await;
        client.send(request).await;
        client.reply().await
    }

    pub(crate) fn shut_down(&self) {
        self.shutdown.cancel();
    }

    pub(crate) async fn drained(self) -> Drained {
        in_time(self.drained).await.expect("the server tells how it ended")
    }

    /// Lets paused time pass until the server holds no connection.
    pub(crate) async fn until_closed(&self) {
        let none = "flotilla_connections_open{service=\"test-service\",listener=\"http\"} 0\n";
        let closed = async {
            while !self.metrics.render().contains(none) {
                tokio::time::advance(Duration::from_millis(10)).await;
            }
        };
        in_time(closed).await;
    }

    /// The sum of a metric that has no labels but the listener's.
    pub(crate) fn counted(&self, name: &str) -> u64 {
        let text = self.metrics.render();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
    }

    /// Whether the metrics hold this line.
    #[track_caller]
    pub(crate) fn assert_counts(&self, line: &str) {
        let text = self.metrics.render();
        assert!(text.lines().any(|told| told == line), "no {line} in\n{text}");
    }
}

/// A connection whose every byte the test decides.
pub(crate) struct RawClient {
    pub(crate) io: Io,
    read: Vec<u8>,
}

impl RawClient {
    pub(crate) fn over(io: Io) -> Self {
        Self { io, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.io.write_all(bytes.as_ref()).await.expect("the server reads");
    }

    /// The next answer, which tells its length.
    pub(crate) async fn reply(&mut self) -> Reply {
        self.reply_or_end().await.expect("the connection ended before an answer")
    }

    /// The next answer, unless the connection ends before its first byte.
    pub(crate) async fn reply_or_end(&mut self) -> Option<Reply> {
        in_time(self.read_reply()).await
    }

    async fn read_reply(&mut self) -> Option<Reply> {
        let head_ends = loop {
            if let Some(at) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at;
            }
            if self.read_some().await == 0 {
                assert_eq!(self.text(), "", "the connection ended within an answer");
                return None;
            }
        };
        let head = String::from_utf8(self.read[..head_ends].to_vec()).unwrap();
        let length: usize = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        let ends = head_ends + 4 + length;
        while self.read.len() < ends {
            assert!(self.read_some().await > 0, "the connection ended within an answer: {:?}", self.text());
        }
        let body = String::from_utf8(self.read[head_ends + 4..ends].to_vec()).unwrap();
        self.read.drain(..ends);
        Some(Reply { head, body })
    }

    /// Everything until the server closes the connection.
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
    head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no status in {:?}", self.head))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
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

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
}

/// What `wait` gives, which is longer in coming than anything here may take when it hangs.
pub(crate) async fn in_time<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(100), wait).await.expect("it hangs")
}

/// A world of its own, in which only the test makes time pass.
pub(crate) fn in_memory() -> Env {
    let clock = Clock::from_tokio(Timestamp::from_micros(1_785_000_000_000_000));
    Env::simulated(clock, Random::seeded(1), Net::over(Memory::default()))
}

type Pending<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// A network within the process; whoever listens gets the next port.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Vec<mpsc::Sender<Io>>>>);

struct MemoryListener {
    port: u16,
    accepted: mpsc::Receiver<Io>,
}

impl Memory {
    /// Small, so that a client that does not read is noticed.
    const BUFFER: usize = 4 * 1024;

    const fn address(port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
    }
}

impl Network for Memory {
    fn bind(&self, _: SocketAddr) -> Pending<'_, Listener> {
        let (dialled, accepted) = mpsc::channel(1_024);
        let mut listeners = self.0.lock().unwrap();
        let port = u16::try_from(listeners.len()).unwrap();
        listeners.push(dialled);
        Box::pin(async move { Ok(Box::new(MemoryListener { port, accepted }) as Listener) })
    }

    fn dial<'a>(&'a self, address: &'a str) -> Pending<'a, Io> {
        let address: SocketAddr = address.parse().unwrap();
        let listener = self.0.lock().unwrap().get(usize::from(address.port())).cloned();
        Box::pin(async move {
            let (mine, theirs) = tokio::io::duplex(Self::BUFFER);
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            listener.ok_or_else(refused)?.try_send(Box::new(theirs)).map_err(|_full_or_gone| refused())?;
            Ok(Box::new(mine) as Io)
        })
    }
}

impl Listen for MemoryListener {
    fn accept(&mut self) -> Pending<'_, (Io, SocketAddr)> {
        Box::pin(async {
            match self.accepted.recv().await {
                Some(io) => Ok((io, Memory::address(0))),
                None => std::future::pending().await,
            }
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(Memory::address(self.port))
    }
}
