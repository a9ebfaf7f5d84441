use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use runtime::Io;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::{Reader, STAND_IN, Verdict, Violation};

/// Read at once while a head is awaited: most heads are whole in it.
const READ: usize = 4 * 1024;

/// How long a connection waits for its client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For a whole head, from its first byte; for the first head, from the connection's start.
    pub(crate) head: Duration,
    /// For the client to take any part of an answer.
    pub(crate) write: Duration,
    /// For the client to close its side when the server has closed its own.
    pub(crate) close: Duration,
}

/// Which request is its connection's last, known once its head has been read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending(Arc<OnceLock<(usize, Option<Violation>)>>);

/// What [`Ending`] says about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// Others may follow.
    Inner,
    /// It is the last, and is to be answered as such.
    Last,
    /// It only stands in for one that broke the rules.
    Refused(&'a Violation),
}

impl Ending {
    /// The place of the request that was the `nth` of its connection, counted from 0.
    pub(crate) fn place_of(&self, nth: usize) -> Place<'_> {
        match self.0.get() {
            Some((last, None)) if *last == nth => Place::Last,
            Some((last, Some(violation))) if *last == nth => Place::Refused(violation),
            _ => Place::Inner,
        }
    }
}

/// The bytes of one HTTP/1 connection.
pub(crate) struct Wire {
    io: Io,
    reader: Reader,
    held: BytesMut,
    /// How many of the held bytes may pass.
    passed: usize,
    heads: usize,
    ending: Ending,
    patience: Patience,
    head_due: Option<Pin<Box<Sleep>>>,
    write_due: Option<Pin<Box<Sleep>>>,
    closing: Option<Closing>,
}

/// The server has closed its side and waits for the client to do the same.
struct Closing {
    due: Pin<Box<Sleep>>,
    left: usize,
}

impl Closing {
    /// Enough for what a client had on its way when it was refused, and no invitation to send on.
    const MOST_DISCARDED: usize = 256 * 1024;

    fn within(patience: Duration) -> Self {
        Self { due: Box::pin(sleep(patience)), left: Self::MOST_DISCARDED }
    }

    fn poll_discard(&mut self, io: &mut Io, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [MaybeUninit::uninit(); READ];
        while self.left > 0 {
            let mut read = ReadBuf::uninit(&mut space);
            match Pin::new(&mut *io).poll_read(cx, &mut read) {
                Poll::Pending => return self.due.as_mut().poll(cx),
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    self.left = self.left.saturating_sub(read.filled().len());
                }
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }
}

impl Wire {
    pub(crate) fn new(io: Io, patience: Patience) -> Self {
        Self {
            io,
            reader: Reader::default(),
            held: BytesMut::new(),
            passed: 0,
            heads: 0,
            ending: Ending::default(),
            patience,
            head_due: Some(Box::pin(sleep(patience.head))),
            write_due: None,
            closing: None,
        }
    }

    /// An HTTP/2 connection whose `preface` has been read. What follows is for hyper alone to judge.
    pub(crate) fn after_preface(io: Io, preface: &[u8], patience: Patience) -> Self {
        let wire = Self::new(io, patience);
        Self { reader: Reader::Open, held: BytesMut::from(preface), head_due: None, ..wire }
    }

    /// Where to ask which request is the last.
    pub(crate) fn ending(&self) -> Ending {
        self.ending.clone()
    }

    fn hand_over(&mut self, buf: &mut ReadBuf<'_>) {
        let size = self.passed.min(buf.remaining());
        buf.put_slice(&self.held[..size]);
        self.held.advance(size);
        self.passed -= size;
    }

    /// Judges what is held; afterwards some of it may pass, or more is needed.
    fn judge(&mut self) {
        let was_head = matches!(self.reader, Reader::Head { .. });
        match self.reader.judge(&self.held) {
            Ok(Verdict::More) => return,
            Ok(Verdict::Pass(size)) => self.passed = size,
            Ok(Verdict::Last(size)) => {
                self.passed = size;
                self.end(None);
            }
            Err(violation) => self.refuse(violation),
        }
        if was_head {
            self.heads += 1;
            self.head_due = None;
        }
    }

    fn refuse(&mut self, violation: Violation) {
        self.end(Some(violation));
        self.reader = Reader::Refused;
        self.held.clear();
        self.held.extend_from_slice(STAND_IN);
        self.passed = STAND_IN.len();
    }

    fn end(&self, violation: Option<Violation>) {
        let first = self.ending.0.set((self.heads, violation));
        first.expect("no head is read behind the last one");
    }

    /// Whether a read may go past what is held, straight into the caller's buffer.
    fn may_bypass(&self, room: usize) -> bool {
        match self.reader {
            _ if !self.held.is_empty() => false,
            Reader::Body { left } => left > room as u64,
            Reader::Open => true,
            Reader::Head { .. } | Reader::Refused => false,
        }
    }

    fn poll_bypass(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if let Reader::Body { left } = &mut self.reader {
            *left -= (buf.filled().len() - before) as u64;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads more into what is held; how many bytes.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [MaybeUninit::uninit(); READ];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
        self.held.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Ends a write or a flush that gets nowhere.
    fn patiently<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.write_due = None;
            return outcome;
        }
        let patience = self.patience.write;
        let due = self.write_due.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(due.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Whether the head that is awaited has taken too long.
    fn poll_head_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.held.is_empty() && self.head_due.is_none() {
            self.head_due = Some(Box::pin(sleep(self.patience.head)));
        }
        match &mut self.head_due {
            Some(due) => due.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        loop {
            if wire.passed == 0 && !wire.held.is_empty() {
                wire.judge();
            }
            if wire.passed > 0 {
                wire.hand_over(buf);
                return Poll::Ready(Ok(()));
            }
            if matches!(wire.reader, Reader::Refused) {
                // Not an end: that would tell hyper that the client is gone, while it still gets its refusal.
                return Poll::Pending;
            }
            if wire.may_bypass(buf.remaining()) {
                return wire.poll_bypass(cx, buf);
            }
            match wire.poll_fill(cx)? {
                Poll::Ready(0) => return Poll::Ready(Ok(())),
                Poll::Ready(_) => {}
                Poll::Pending => {
                    ready!(wire.poll_head_due(cx));
                    if wire.held.is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    wire.refuse(Violation::HeadTooSlow(wire.patience.head.as_secs()));
                }
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        let wrote = Pin::new(&mut wire.io).poll_write(cx, buf);
        wire.patiently(cx, wrote)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        let wrote = Pin::new(&mut wire.io).poll_write_vectored(cx, bufs);
        wire.patiently(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let flushed = Pin::new(&mut wire.io).poll_flush(cx);
        wire.patiently(cx, flushed)
    }

    /// Closes this side, and then waits a little for the client to close its own: a socket that is closed
    /// with bytes unread resets the connection, and the client may lose the answer it was just sent.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if wire.closing.is_none() {
            let shut = Pin::new(&mut wire.io).poll_shutdown(cx);
            ready!(wire.patiently(cx, shut))?;
        }
        let patience = wire.patience.close;
        let closing = wire.closing.get_or_insert_with(|| Closing::within(patience));
        closing.poll_discard(&mut wire.io, cx).map(Ok)
    }
}
