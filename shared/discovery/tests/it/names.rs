//! A small server of DNS, which says what it is told to.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use runtime::{Env, Io, Listener, Net, Network};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

/// What is said about a name.
#[derive(Clone)]
pub(crate) enum Says {
    /// These addresses, and for how many seconds.
    Addresses(Vec<IpAddr>, u32),
    /// The same, but questions about this family are dropped.
    AddressesBut(Vec<IpAddr>, u32, Family),
    /// This code of RFC 1035 and nothing else.
    Code(u16),
    /// Nothing, with the connection left open.
    Silence,
}

/// A type of addresses, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4 = 1,
    V6 = 28,
}

pub(crate) const SERVER_FAILURE: u16 = 2;
pub(crate) const NO_SUCH_NAME: u16 = 3;

/// The names it knows; others do not exist.
#[derive(Clone, Default)]
pub(crate) struct Names(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    said: BTreeMap<String, Says>,
    asked: usize,
}

impl Names {
    pub(crate) fn say(&self, name: &str, says: Says) {
        self.0.lock().unwrap().said.insert(name.to_owned(), says);
    }

    /// How many questions there have been.
    pub(crate) fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }

    /// Answers on a free port of the loopback.
    pub(crate) async fn listen(&self, env: &Env) -> SocketAddr {
        let mut listener = env.net.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (names, tasks) = (self.clone(), env.tasks.clone());
        env.tasks.spawn("dns", async move {
            while let Ok((connection, _)) = listener.accept().await {
                let names = names.clone();
                tasks.spawn("dns-answer", async move { drop(names.answer(connection).await) });
            }
        });
        addr
    }

    /// A network in memory in which every address is this server, for tests under a paused clock.
    pub(crate) fn net(&self, env: &Env) -> Net {
        Net::over(Wire { names: self.clone(), env: env.clone() })
    }

    async fn answer(&self, mut connection: Io) -> io::Result<()> {
        let mut question = vec![0; connection.read_u16().await?.into()];
        connection.read_exact(&mut question).await?;
        match self.said(&question) {
            Some(told) => {
                connection.write_u16(told.len().try_into().unwrap()).await?;
                connection.write_all(&told).await?;
                connection.flush().await
            }
            None => std::future::pending().await,
        }
    }

    fn said(&self, question: &[u8]) -> Option<Vec<u8>> {
        let (name, kind) = read(question);
        let mut known = self.0.lock().unwrap();
        known.asked += 1;
        let (code, ips, seconds) = match known.said.get(&name) {
            Some(Says::Addresses(ips, seconds)) => (0, ips.clone(), *seconds),
            Some(Says::AddressesBut(_, _, family)) if kind == *family as u16 => return None,
            Some(Says::AddressesBut(ips, seconds, _)) => (0, ips.clone(), *seconds),
            Some(Says::Code(code)) => (*code, Vec::new(), 0),
            Some(Says::Silence) => return None,
            None => (NO_SUCH_NAME, Vec::new(), 0),
        };
        let of_kind = ips.iter().filter(|ip| kind == if ip.is_ipv4() { 1 } else { 28 });
        let records: Vec<Vec<u8>> = of_kind.map(|ip| record(*ip, seconds)).collect();
        let mut told = question.to_vec();
        told[2..4].copy_from_slice(&(0x8180 | code).to_be_bytes());
        told[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
        told.extend(records.concat());
        Some(told)
    }
}

/// The name and the type that are asked for.
fn read(question: &[u8]) -> (String, u16) {
    let (mut labels, mut rest) = (Vec::new(), &question[12..]);
    while rest[0] != 0 {
        let (label, others) = rest[1..].split_at(rest[0].into());
        labels.push(String::from_utf8(label.to_vec()).unwrap());
        rest = others;
    }
    (labels.join("."), u16::from_be_bytes([rest[1], rest[2]]))
}

fn record(ip: IpAddr, seconds: u32) -> Vec<u8> {
    let (kind, data): (u8, Vec<u8>) = match ip {
        IpAddr::V4(ip) => (1, ip.octets().into()),
        IpAddr::V6(ip) => (28, ip.octets().into()),
    };
    let length = u8::try_from(data.len()).unwrap();
    [&[0xc0, 12, 0, kind, 0, 1][..], &seconds.to_be_bytes(), &[0, length], &data].concat()
}

struct Wire {
    names: Names,
    env: Env,
}

impl Network for Wire {
    fn bind(
        &self,
        _: SocketAddr,
    ) -> std::pin::Pin<Box<dyn Future<Output = io::Result<Listener>> + Send + '_>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn dial<'a>(&'a self, _: &'a str) -> std::pin::Pin<Box<dyn Future<Output = io::Result<Io>> + Send + 'a>> {
        let (ours, theirs) = duplex(64 << 10);
        let names = self.names.clone();
        let answer = async move { drop(names.answer(Box::new(theirs)).await) };
        self.env.tasks.spawn("dns-answer", answer);
        Box::pin(async { Ok(Box::new(ours) as Io) })
    }
}
