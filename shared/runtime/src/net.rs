use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// A connected, bidirectional byte stream.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection, boxed once so that the rest of the platform knows one type.
pub type Io = Box<dyn Stream>;

/// A listening socket, boxed.
pub type Listener = Box<dyn Listen>;

type Pending<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// Where connections come from: the machine's TCP stack or a simulated one.
pub trait Network: Send + Sync {
    /// Listens on `addr`; port 0 takes a free one.
    fn bind(&self, addr: SocketAddr) -> Pending<'_, Listener>;

    /// Connects to `address`, a `host:port`.
    fn dial<'a>(&'a self, address: &'a str) -> Pending<'a, Io>;
}

/// A socket that accepts connections.
pub trait Listen: Send + Sync {
    /// The next connection and the address it came from. Dropping the future loses no connection.
    fn accept(&mut self) -> Pending<'_, (Io, SocketAddr)>;

    /// The address it really listens on.
    ///
    /// # Errors
    /// Those of the operating system.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// The network a service lives in.
#[derive(Clone)]
pub struct Net(Arc<dyn Network>);

impl Net {
    /// The machine's TCP stack.
    pub fn system() -> Self {
        Self::over(Tcp)
    }

    /// Another network, such as a simulated one.
    pub fn over(network: impl Network + 'static) -> Self {
        Self(Arc::new(network))
    }

    /// Listens on `addr`; port 0 takes a free one.
    ///
    /// # Errors
    /// Those of the operating system, such as an address that is taken.
    pub async fn bind(&self, addr: SocketAddr) -> io::Result<Listener> {
        self.0.bind(addr).await
    }

    /// Connects to `address`, a `host:port`. The caller bounds the time.
    ///
    /// # Errors
    /// Those of the operating system, such as a refused connection.
    pub async fn dial(&self, address: &str) -> io::Result<Io> {
        self.0.dial(address).await
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Net")
    }
}

struct Tcp;

#[expect(clippy::disallowed_methods, reason = "this is the seam that everyone else must use")]
impl Network for Tcp {
    fn bind(&self, addr: SocketAddr) -> Pending<'_, Listener> {
        Box::pin(async move {
            let listener = TcpListener::bind(addr).await?;
            Ok(Box::new(listener) as Listener)
        })
    }

    fn dial<'a>(&'a self, address: &'a str) -> Pending<'a, Io> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Io)
        })
    }
}

impl Listen for TcpListener {
    fn accept(&mut self) -> Pending<'_, (Io, SocketAddr)> {
        Box::pin(async move {
            let (stream, peer) = TcpListener::accept(self).await?;
            // Answers are written whole; waiting to fill a packet would only add Nagle's 40 ms to them.
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as Io, peer))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpListener::local_addr(self)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_dialled_connection_reaches_the_listener() {
        let net = Net::system();
        let mut listener = net.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (dialled, accepted) = tokio::join!(net.dial(&address), listener.accept());
        dialled.unwrap().write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        accepted.unwrap().0.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
    }

    #[tokio::test]
    async fn a_taken_address_is_refused() {
        let net = Net::system();
        let listener = net.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let again = net.bind(listener.local_addr().unwrap()).await;
        assert_eq!(again.err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
    }
}
