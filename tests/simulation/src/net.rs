//! The platform's sockets over the simulated network.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;

use runtime::{Io, Listen, Listener, Network};
use turmoil::net::{TcpListener, TcpStream};

type Pending<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// TCP between simulated hosts, which are dialled by their names. Only for code that runs on one of them.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedNetwork;

impl Network for SimulatedNetwork {
    /// Listens on every address of the host: a simulated host has but one, which nobody knows beforehand.
    fn bind(&self, addr: SocketAddr) -> Pending<'_, Listener> {
        Box::pin(async move {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, addr.port())).await?;
            Ok(Box::new(SimulatedListener(listener)) as Listener)
        })
    }

    fn dial<'a>(&'a self, address: &'a str) -> Pending<'a, Io> {
        Box::pin(async move { Ok(Box::new(TcpStream::connect(address).await?) as Io) })
    }
}

struct SimulatedListener(TcpListener);

impl Listen for SimulatedListener {
    fn accept(&mut self) -> Pending<'_, (Io, SocketAddr)> {
        Box::pin(async move {
            let (stream, peer) = self.0.accept().await?;
            Ok((Box::new(stream) as Io, peer))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
