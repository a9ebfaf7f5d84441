use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use turmoil::net::TcpStream;

/// How often each host has sent something to each other one, and which hosts are slow. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Traffic(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    sent: BTreeMap<(String, String), u64>,
    slow: BTreeMap<String, Slow>,
}

#[derive(Debug)]
struct Slow {
    delay: Duration,
    is_felt: bool,
}

impl Traffic {
    pub(super) fn count(&self, from: &str, to: &str) {
        *self.state().sent.entry((from.to_owned(), to.to_owned())).or_default() += 1;
    }

    /// How often `from` has sent something to `to`, whether or not it arrived.
    pub fn sent(&self, from: &str, to: &str) -> u64 {
        self.state().sent.get(&(from.to_owned(), to.to_owned())).copied().unwrap_or_default()
    }

    /// From now on `host` gets to whatever comes to it only after `delay`.
    pub fn slow_down(&self, host: &str, delay: Duration) {
        self.state().slow.insert(host.to_owned(), Slow { delay, is_felt: false });
    }

    /// The host is as quick as the others again. Whether it has let anything wait.
    pub fn speed_up(&self, host: &str) -> bool {
        self.state().slow.remove(host).is_some_and(|slow| slow.is_felt)
    }

    fn delay(&self, host: &str) -> Option<Duration> {
        self.state().slow.get(host).map(|slow| slow.delay)
    }

    fn note_felt(&self, host: &str) {
        if let Some(slow) = self.state().slow.get_mut(host) {
            slow.is_felt = true;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection whose writes are counted, and whose reads wait while its host is slow.
pub(super) struct Counted {
    stream: TcpStream,
    from: &'static str,
    to: String,
    traffic: Traffic,
    held: Option<Held>,
}

/// What has come and is not looked at yet; nothing, where that was the end.
struct Held {
    until: Pin<Box<Sleep>>,
    bytes: Vec<u8>,
}

impl Counted {
    pub(super) fn new(stream: TcpStream, from: &'static str, to: &str, traffic: &Traffic) -> Self {
        Self { stream, from, to: to.to_owned(), traffic: traffic.clone(), held: None }
    }

    /// Takes what comes, for later.
    fn poll_hold(&mut self, context: &mut Context<'_>, delay: Duration) -> Poll<io::Result<()>> {
        /// What a slow host takes in at a time: more than a request has.
        const MOST: usize = 16 * 1024;
        let mut space = vec![0; MOST];
        let mut taken = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut taken))?;
        self.traffic.note_felt(self.from);
        self.held = Some(Held { until: Box::pin(sleep(delay)), bytes: taken.filled().to_vec() });
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.held.is_none() {
            let Some(delay) = self.traffic.delay(self.from) else {
                return Pin::new(&mut self.stream).poll_read(context, buffer);
            };
            ready!(self.poll_hold(context, delay))?;
        }
        let Some(held) = &mut self.held else { return Poll::Pending };
        if !held.until.is_elapsed() {
            ready!(held.until.as_mut().poll(context));
        }
        let rest = held.bytes.split_off(held.bytes.len().min(buffer.remaining()));
        buffer.put_slice(&held.bytes);
        held.bytes = rest;
        if held.bytes.is_empty() {
            self.held = None;
        }
        Poll::Ready(Ok(()))
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
