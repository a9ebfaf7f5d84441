//! The platform's sockets over the simulated network.

mod traffic;

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;

use runtime::{Io, Listen, Listener, Network};
use turmoil::net::{TcpListener, TcpStream};

use self::traffic::Counted;
pub use self::traffic::Traffic;

type Pending<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// TCP between simulated hosts, which are dialled by their names or addresses. Only for code that runs on one of
/// them.
#[derive(Clone, Debug)]
pub struct SimulatedNetwork {
    host: &'static str,
    traffic: Traffic,
}

impl SimulatedNetwork {
    /// As the host of that name uses it. What it sends is counted.
    pub fn of(host: &'static str, traffic: &Traffic) -> Self {
        Self { host, traffic: traffic.clone() }
    }
}

impl Network for SimulatedNetwork {
    /// Listens on every address of the host: a simulated host has but one, which nobody knows beforehand.
    fn bind(&self, addr: SocketAddr) -> Pending<'_, Listener> {
        Box::pin(async move {
            let socket = TcpListener::bind((Ipv4Addr::UNSPECIFIED, addr.port())).await?;
            Ok(Box::new(SimulatedListener { socket, network: self.clone() }) as Listener)
        })
    }

    fn dial<'a>(&'a self, address: &'a str) -> Pending<'a, Io> {
        Box::pin(async move {
            let (host, _port) = address.split_once(':').ok_or(io::ErrorKind::InvalidInput)?;
            let named = host.parse().ok().and_then(turmoil::reverse_lookup);
            let peer = named.as_deref().unwrap_or(host);
            // It sends something to connect, too.
            self.traffic.count(self.host, peer);
            let stream = TcpStream::connect(address).await?;
            Ok(Box::new(Counted::new(stream, self.host, peer, &self.traffic)) as Io)
        })
    }
}

struct SimulatedListener {
    socket: TcpListener,
    network: SimulatedNetwork,
}

impl Listen for SimulatedListener {
    fn accept(&mut self) -> Pending<'_, (Io, SocketAddr)> {
        Box::pin(async move {
            let (stream, peer) = self.socket.accept().await?;
            let name = turmoil::reverse_lookup(peer.ip()).ok_or(io::ErrorKind::NotFound)?;
            let counted = Counted::new(stream, self.network.host, &name, &self.network.traffic);
            Ok((Box::new(counted) as Io, peer))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}
