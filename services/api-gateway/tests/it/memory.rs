//! A network within the process, so that a paused clock moves only when nothing else can.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use runtime::{Clock, Env, Io, Listen, Listener, Net, Network, Random};
use tokio::sync::mpsc;
use types::Timestamp;

/// A world of its own, in which only the test makes time pass.
pub(crate) fn env() -> Env {
    let clock = Clock::from_tokio(Timestamp::from_micros(1_785_000_000_000_000));
    Env::simulated(clock, Random::seeded(1), Net::over(Memory::default()))
}

type Pending<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// Whoever listens gets the next port, at which nobody is reached any more once the listener is gone.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<mpsc::Sender<Io>>>>);

struct MemoryListener {
    port: u16,
    accepted: mpsc::Receiver<Io>,
}

/// As much as a socket holds.
const BUFFER: usize = 64 * 1024;

const fn address(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

impl Network for Memory {
    fn bind(&self, _: SocketAddr) -> Pending<'_, Listener> {
        let (dialled, accepted) = mpsc::channel(1_024);
        let mut listeners = self.0.lock().unwrap();
        listeners.push(dialled);
        let port = u16::try_from(listeners.len()).unwrap();
        Box::pin(async move { Ok(Box::new(MemoryListener { port, accepted }) as Listener) })
    }

    fn dial<'a>(&'a self, address: &'a str) -> Pending<'a, Io> {
        let address: SocketAddr = address.parse().unwrap();
        let listener = self.0.lock().unwrap().get(usize::from(address.port()) - 1).cloned();
        Box::pin(async move {
            let (mine, theirs) = tokio::io::duplex(BUFFER);
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
                Some(io) => Ok((io, address(40_000))),
                None => std::future::pending().await,
            }
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(address(self.port))
    }
}
