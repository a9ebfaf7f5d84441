//! An agent that says what a test has it say, for what no real one does when it is asked to.

use std::io;
use std::sync::{Arc, Mutex};

use discovery::{Consul, ConsulConfig};
use runtime::{Deadline, Env, Io};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use crate::server::PATIENCE;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Its method and target.
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// What is answered: a status, an index and a body; nothing for silence.
pub(crate) type Says = Option<(u16, u64, String)>;

pub(crate) struct Agent {
    pub(crate) env: Env,
    pub(crate) port: u16,
    asked: watch::Receiver<Vec<Asked>>,
}

impl Agent {
    /// Answers each request by `says`, which is also told how many there were before it.
    pub(crate) async fn start(says: impl Fn(usize, &Asked) -> Says + Send + Sync + 'static) -> Self {
        let env = Env::system(1);
        let mut listener = env.net.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, asked) = watch::channel(Vec::new());
        let (says, tell, tasks) = (Arc::new(says), Arc::new(Mutex::new(tell)), env.tasks.clone());
        env.tasks.spawn("agent", async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (says, tell) = (Arc::clone(&says), Arc::clone(&tell));
                tasks.spawn("agent-connection", async move { drop(serve(connection, &*says, &tell).await) });
            }
        });
        Self { env, port, asked }
    }

    pub(crate) fn consul(&self) -> Consul {
        self.consul_with(|config| config)
    }

    pub(crate) fn consul_with(&self, change: impl FnOnce(ConsulConfig) -> ConsulConfig) -> Consul {
        Consul::new(&self.env, change(ConsulConfig::at("127.0.0.1", self.port))).unwrap()
    }

    /// The first requests, once there are so many whose line holds `what`.
    pub(crate) async fn asked<const N: usize>(&mut self, what: &str) -> [Asked; N] {
        let of = |all: &[Asked]| all.iter().filter(|it| it.line.contains(what)).cloned().collect::<Vec<_>>();
        let seen = self.asked.wait_for(|all| of(all).len() >= N);
        let seen = Deadline::within(PATIENCE).bound(seen).await.expect("it is asked").unwrap();
        of(&seen)[..N].to_vec().try_into().unwrap()
    }
}

type Tell = Mutex<watch::Sender<Vec<Asked>>>;

async fn serve(
    mut connection: Io,
    says: &(impl Fn(usize, &Asked) -> Says + Sync),
    tell: &Tell,
) -> io::Result<()> {
    loop {
        let asked = read(&mut connection).await?;
        let said = {
            let tell = tell.lock().unwrap();
            let before = tell.borrow().len();
            let said = says(before, &asked);
            tell.send_modify(|all| all.push(asked));
            said
        };
        let Some((status, index, body)) = said else { std::future::pending().await };
        let head = format!(
            "HTTP/1.1 {status} it\r\nx-consul-index: {index}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all((head + &body).as_bytes()).await?;
    }
}

async fn read(connection: &mut Io) -> io::Result<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if connection.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = bytes.split_off(end + 4);
    while body.len() < length.unwrap_or(0) {
        if connection.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let line = head.lines().next().unwrap().strip_suffix(" HTTP/1.1").unwrap().to_owned();
    Ok(Asked { line, head, body: String::from_utf8(body).unwrap() })
}
