use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::TcpStream;

/// How often each host has sent something to each other one. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Traffic(Arc<Mutex<BTreeMap<(String, String), u64>>>);

impl Traffic {
    pub(super) fn count(&self, from: &str, to: &str) {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *sent.entry((from.to_owned(), to.to_owned())).or_default() += 1;
    }

    /// How often `from` has sent something to `to`, whether or not it arrived.
    pub fn sent(&self, from: &str, to: &str) -> u64 {
        let sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sent.get(&(from.to_owned(), to.to_owned())).copied().unwrap_or_default()
    }
}

/// A connection whose writes are counted.
pub(super) struct Counted {
    stream: TcpStream,
    from: &'static str,
    to: String,
    traffic: Traffic,
}

impl Counted {
    pub(super) fn new(stream: TcpStream, from: &'static str, to: &str, traffic: &Traffic) -> Self {
        Self { stream, from, to: to.to_owned(), traffic: traffic.clone() }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if matches!(written, Poll::Ready(Ok(_))) {
            self.traffic.count(self.from, &self.to);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
