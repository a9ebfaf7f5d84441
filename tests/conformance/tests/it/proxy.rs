//! A wire to the server that a test can cut at the worst moment.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use runtime::{Env, Io};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{Notify, watch};

/// What becomes of the bytes of one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Everything passes.
    Nothing,
    /// The bytes that hold the next COMMIT do not arrive, and both ends see the connection go.
    BeforeCommit,
    /// Only the first half of those bytes arrives.
    HalfwayThroughCommit,
    /// They arrive, the answer does not.
    AnswerToCommit,
    /// They arrive, the answer does not, and nobody gets through any more.
    Everything,
    /// The caller sees the connection go; the bytes arrive when the test says so.
    DelayCommit,
}

/// Passes bytes between the platform and the server.
pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    wire: Arc<Wire>,
}

struct Wire {
    cut: Mutex<Cut>,
    open: watch::Sender<bool>,
    release: Notify,
    delivered: Notify,
}

impl Proxy {
    pub(crate) async fn before(server: String, env: &Env) -> Self {
        let mut listener = env.net.bind(([127, 0, 0, 1], 0).into()).await.expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let wire = Arc::new(Wire {
            cut: Mutex::new(Cut::Nothing),
            open: watch::channel(true).0,
            release: Notify::new(),
            delivered: Notify::new(),
        });
        let (env, shared) = (env.clone(), Arc::clone(&wire));
        env.clone().tasks.spawn("proxy", async move {
            while let Ok((caller, _)) = listener.accept().await {
                if *shared.open.borrow()
                    && let Ok(server) = env.net.dial(&server).await
                {
                    env.tasks.spawn("wire", pass(caller, server, Arc::clone(&shared)));
                }
            }
        });
        Self { addr, wire }
    }

    /// What becomes of the next commit; the one after that passes again.
    pub(crate) fn cut_once(&self, cut: Cut) {
        *self.wire.cut.lock().expect("no test panics while holding it") = cut;
    }

    /// Lets the delayed bytes arrive, and waits until the server has seen them through.
    pub(crate) async fn release(&self) {
        self.wire.release.notify_one();
        self.wire.delivered.notified().await;
    }
}

impl Wire {
    /// What is to be done about bytes from the caller.
    fn verdict(&self, bytes: &[u8]) -> Cut {
        let mut cut = self.cut.lock().expect("no test panics while holding it");
        let has_commit = bytes.windows(6).any(|window| window == b"COMMIT");
        if has_commit { std::mem::replace(&mut *cut, Cut::Nothing) } else { Cut::Nothing }
    }
}

async fn pass(caller: Io, server: Io, wire: Arc<Wire>) {
    let (mut from_caller, mut to_caller) = tokio::io::split(caller);
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let mut open = wire.open.subscribe();
    let (mute, muted) = watch::channel(false);
    let delayed = tokio::select! {
        delayed = requests(&mut from_caller, &mut to_server, &wire, mute) => delayed,
        () = answers(&mut from_server, &mut to_caller, muted) => None,
        _ = open.wait_for(|open| !open) => None,
    };
    drop((from_caller, to_caller));
    if let Some(bytes) = delayed {
        wire.release.notified().await;
        to_server.write_all(&bytes).await.expect("the server still listens");
        to_server.shutdown().await.expect("the server still listens");
        // The server hangs up once it has worked through all of it.
        drop(from_server.read_to_end(&mut Vec::new()).await);
        wire.delivered.notify_one();
    }
}

/// Passes requests until one is cut; gives back the bytes that are to arrive later.
async fn requests(
    from: &mut ReadHalf<Io>,
    to: &mut WriteHalf<Io>,
    wire: &Wire,
    mute: watch::Sender<bool>,
) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 2 * 1024 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let bytes = &buffer[..read];
        let passed = match wire.verdict(bytes) {
            Cut::Nothing => bytes,
            Cut::BeforeCommit => return None,
            Cut::DelayCommit => return Some(bytes.to_owned()),
            Cut::HalfwayThroughCommit => {
                drop(to.write_all(&bytes[..read / 2]).await);
                return None;
            }
            Cut::AnswerToCommit => {
                mute.send_replace(true);
                bytes
            }
            Cut::Everything => {
                drop(to.write_all(bytes).await);
                wire.open.send_replace(false);
                return None;
            }
        };
        if to.write_all(passed).await.is_err() {
            return None;
        }
    }
    None
}

/// Passes answers until the caller is to hear no more: then the wire hangs up when the next one comes.
async fn answers(from: &mut ReadHalf<Io>, to: &mut WriteHalf<Io>, muted: watch::Receiver<bool>) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if *muted.borrow() || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
