//! A wire to the server that a test can cut at the worst moment.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use runtime::{Env, Io};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::Notify;

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

/// What becomes of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// It reaches the server.
    Open,
    /// It is closed at once.
    Closed,
    /// Nobody ever says anything.
    Mute,
}

/// Passes bytes between the platform and the server.
pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    wire: Arc<Wire>,
}

struct Wire {
    /// After how many commits that pass.
    cut: Mutex<(usize, Cut)>,
    door: Mutex<Door>,
    release: Notify,
    delivered: Notify,
}

impl Proxy {
    pub(crate) async fn before(server: String, env: &Env) -> Self {
        Self::at([127, 0, 0, 1], server, env).await
    }

    /// The server under another of the machine's addresses.
    pub(crate) async fn at(address: [u8; 4], server: String, env: &Env) -> Self {
        let mut listener = env.net.bind((address, 0).into()).await.expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let wire = Arc::new(Wire {
            cut: Mutex::new((0, Cut::Nothing)),
            door: Mutex::new(Door::Open),
            release: Notify::new(),
            delivered: Notify::new(),
        });
        let (env, shared) = (env.clone(), Arc::clone(&wire));
        env.clone().tasks.spawn("proxy", async move {
            let mut unheard = Vec::new();
            while let Ok((caller, _)) = listener.accept().await {
                let door = *shared.door.lock().expect("no test panics while holding it");
                match door {
                    Door::Open => {
                        if let Ok(server) = env.net.dial(&server).await {
                            env.tasks.spawn("wire", pass(caller, server, Arc::clone(&shared)));
                        }
                    }
                    Door::Closed => {}
                    Door::Mute => unheard.push(caller),
                }
            }
        });
        Self { addr, wire }
    }

    /// What becomes of the next commit; the one after that passes again.
    pub(crate) fn cut_once(&self, cut: Cut) {
        self.cut_after(0, cut);
    }

    /// What becomes of the commit after the next `passing` ones.
    pub(crate) fn cut_after(&self, passing: usize, cut: Cut) {
        *self.wire.cut.lock().expect("no test panics while holding it") = (passing, cut);
    }

    /// What becomes of those who connect from now on.
    pub(crate) fn turn(&self, door: Door) {
        self.wire.turn(door);
    }

    /// Lets the delayed bytes arrive, and waits until the server has seen them through.
    pub(crate) async fn release(&self) {
        self.wire.release.notify_one();
        self.wire.delivered.notified().await;
    }
}

impl Wire {
    fn turn(&self, door: Door) {
        *self.door.lock().expect("no test panics while holding it") = door;
    }

    /// What is to be done about bytes from the caller.
    fn verdict(&self, bytes: &[u8]) -> Cut {
        let mut next = self.cut.lock().expect("no test panics while holding it");
        if !bytes.windows(6).any(|window| window == b"COMMIT") {
            return Cut::Nothing;
        }
        match *next {
            (0, cut) => {
                *next = (0, Cut::Nothing);
                cut
            }
            (passing, cut) => {
                *next = (passing - 1, cut);
                Cut::Nothing
            }
        }
    }
}

/// Bytes that the caller believes lost, and when the server gets them.
struct Late {
    bytes: Vec<u8>,
    when: Cut,
}

async fn pass(caller: Io, server: Io, wire: Arc<Wire>) {
    let (mut from_caller, mut to_caller) = tokio::io::split(caller);
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let late = tokio::select! {
        late = requests(&mut from_caller, &mut to_server, &wire) => late,
        () = answers(&mut from_server, &mut to_caller) => None,
    };
    let Some(Late { bytes, when }) = late else { return };
    if when == Cut::Everything {
        wire.turn(Door::Closed);
    }
    if when == Cut::DelayCommit {
        drop((from_caller, to_caller));
        wire.release.notified().await;
        deliver(&mut from_server, &mut to_server, &bytes).await;
        wire.delivered.notify_one();
    } else {
        deliver(&mut from_server, &mut to_server, &bytes).await;
    }
}

/// Hands the server its bytes and hears it out: hanging up earlier would take them away again.
async fn deliver(from: &mut ReadHalf<Io>, to: &mut WriteHalf<Io>, bytes: &[u8]) {
    to.write_all(bytes).await.expect("the server still listens");
    to.shutdown().await.expect("the server still listens");
    drop(from.read_to_end(&mut Vec::new()).await);
}

/// Passes requests until one is cut; gives back the bytes that are to arrive later.
async fn requests(from: &mut ReadHalf<Io>, to: &mut WriteHalf<Io>, wire: &Wire) -> Option<Late> {
    let mut buffer = vec![0; 2 * 1024 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let bytes = &buffer[..read];
        match wire.verdict(bytes) {
            Cut::Nothing => to.write_all(bytes).await.ok()?,
            Cut::BeforeCommit => return None,
            Cut::HalfwayThroughCommit => {
                to.write_all(&bytes[..read / 2]).await.ok()?;
                return None;
            }
            when @ (Cut::AnswerToCommit | Cut::Everything | Cut::DelayCommit) => {
                return Some(Late { bytes: bytes.to_owned(), when });
            }
        }
    }
    None
}

async fn answers(from: &mut ReadHalf<Io>, to: &mut WriteHalf<Io>) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
