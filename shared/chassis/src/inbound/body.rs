use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::StatusCode;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use resilience::Shed;
use tokio::time::{Instant, Sleep, sleep, timeout};
use types::{Classify, ErrorClass};

use super::load::{self, Work};
use super::{Bounds, Kind};
use crate::Problem;

/// Why a request's body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is larger than it may be.
    #[error("the body must not be larger than {0} bytes")]
    TooLarge(usize),
    /// With it, too much would be on its way over one connection.
    #[error("bodies on their way over one connection must not be larger than {0} bytes together")]
    Crowded(usize),
    /// Nothing of it came for too long.
    #[error("the body must not pause for more than {} seconds", .0.as_secs_f64())]
    Paused(Duration),
    /// It did not come whole in time.
    #[error("the body must arrive within {} seconds", .0.as_secs_f64())]
    TooSlow(Duration),
    /// When some of it had come there was too much to do.
    #[error(transparent)]
    Shed(#[from] Shed),
    /// Its framing is broken.
    #[error("the body is not framed as its headers say")]
    Broken(#[source] hyper::Error),
    /// The connection ended first.
    #[error("the connection ended within the body")]
    Ended(#[source] hyper::Error),
}

impl Classify for BodyError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::TooLarge(_) => ErrorClass::TooLarge,
            Self::Crowded(_) => ErrorClass::TooMany,
            Self::Paused(_) | Self::TooSlow(_) | Self::Shed(_) => ErrorClass::Unavailable,
            Self::Broken(_) | Self::Ended(_) => ErrorClass::Invalid,
        }
    }
}

impl BodyError {
    /// The error of reading a body, found among the `error`'s sources.
    pub fn among<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut sources = std::iter::successors(Some(error), |&error| error.source());
        sources.find_map(|source| source.downcast_ref::<Self>())
    }

    /// The answer to a request whose body it was.
    pub fn problem(&self) -> Problem {
        let problem = Problem::new(self.class(), self.to_string());
        match self {
            Self::Shed(shed) => load::problem(*shed),
            Self::Paused(_) | Self::TooSlow(_) => problem.with_status(StatusCode::REQUEST_TIMEOUT),
            _ => problem,
        }
    }

    fn of(error: hyper::Error) -> Self {
        let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
        match cause {
            Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Self::Broken(error),
            _ => Self::Ended(error),
        }
    }
}

/// A body that nobody has read yet. Whoever wants it says first how large it may be.
#[derive(Debug)]
pub struct UnreadBody {
    kind: Kind,
    flow: Flow,
    bounds: Bounds,
    arriving: Arriving,
    work: Work,
}

impl UnreadBody {
    pub(super) fn new(kind: Kind, body: Incoming, bounds: &Bounds, arriving: &Arriving) -> Self {
        let arriving = Arriving { own: 0, all: Arc::clone(&arriving.all) };
        let end = End::of(&body);
        let flow = Flow { body: Some(body), end };
        Self { kind, flow, bounds: *bounds, arriving, work: Work::default() }
    }

    /// What it is read for.
    pub(super) fn work(&self) -> &Work {
        &self.work
    }

    pub(super) fn end(&self) -> &End {
        &self.flow.end
    }

    /// The body, which ends in a [`BodyError`] once it is larger than `most` bytes or too slow.
    ///
    /// # Errors
    /// `TooLarge`: it says so itself, and stays unread.
    pub fn within(self, most: usize) -> Result<Body, Problem> {
        let Self { kind, flow, bounds, arriving, work } = self;
        let said = flow.size_hint().lower();
        if usize::try_from(said).map_or(true, |said| said > most) {
            return Err(BodyError::TooLarge(most).problem());
        }
        if flow.is_end_stream() {
            return Ok(Body::empty());
        }
        let (left, time_left) = (most, bounds.body_whole);
        let waiting = None;
        Ok(Body::new(Limited { kind, flow, bounds, most, left, arriving, waiting, work, time_left }))
    }
}

/// Bytes of bodies that have not arrived whole: of one, and of all of its connection. HTTP/2 lets a client begin
/// hundreds and finish none.
#[derive(Debug, Default)]
pub(crate) struct Arriving {
    own: usize,
    all: Arc<AtomicUsize>,
}

impl Arriving {
    /// The largest body, as often as a busy peer sends it at once.
    const BODIES: usize = 4;

    fn add(&mut self, size: usize, bounds: &Bounds) -> Result<(), BodyError> {
        let most = bounds.body * Self::BODIES;
        self.own += size;
        let all = self.all.fetch_add(size, Ordering::Relaxed) + size;
        if all > most { Err(BodyError::Crowded(most)) } else { Ok(()) }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.all.fetch_sub(self.own, Ordering::Relaxed);
    }
}

/// How far the reading of a body has come, before whose end HTTP/1 carries no other request. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct End(Arc<Reading>);

#[derive(Debug)]
struct Reading {
    is_over: AtomicBool,
    /// What nobody wanted to read.
    rest: Mutex<Option<Incoming>>,
}

impl End {
    /// As large a rest as is read for the connection's sake: with TLS, a new one costs more than a thousand refusals.
    const SMALL: u64 = 16 * 1024;
    /// For what has come together with the head.
    const PROMPT: Duration = Duration::from_millis(5);

    fn of(body: &Incoming) -> Self {
        Self(Arc::new(Reading { is_over: AtomicBool::new(body.is_end_stream()), rest: Mutex::default() }))
    }

    pub(super) fn is_read(&self) -> bool {
        self.0.is_over.load(Ordering::Relaxed)
    }

    fn read(&self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }

    /// Reads what nobody wanted, if it is small and has come already.
    pub(super) async fn reach(&self) {
        let rest = self.rest().take();
        let Some(mut rest) =
            rest.filter(|rest| rest.size_hint().exact().is_some_and(|size| size <= Self::SMALL))
        else {
            return;
        };
        let reading = async { while let Some(Ok(_)) = rest.frame().await {} };
        if timeout(Self::PROMPT, reading).await.is_ok() && rest.is_end_stream() {
            self.read();
        }
    }

    fn rest(&self) -> MutexGuard<'_, Option<Incoming>> {
        self.0.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body on its way, which is put where its end is known if nobody reads on.
#[derive(Debug)]
struct Flow {
    /// Until it is dropped.
    body: Option<Incoming>,
    end: End,
}

impl Flow {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if frame.is_none() || self.is_end_stream() {
            self.end.read();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        if !self.end.is_read() {
            *self.end.rest() = self.body.take();
        }
    }
}

struct Limited {
    kind: Kind,
    flow: Flow,
    bounds: Bounds,
    most: usize,
    left: usize,
    arriving: Arriving,
    waiting: Option<Waiting>,
    work: Work,
    /// For which the client may be waited for.
    time_left: Duration,
}

/// For the client's next bytes.
struct Waiting {
    since: Instant,
    over: Pin<Box<Sleep>>,
}

impl Limited {
    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = self.flow.poll_frame(cx) else {
            return self.poll_patience(cx).map(|error| Some(Err(error)));
        };
        if let Some(waiting) = self.waiting.take() {
            self.time_left = self.time_left.saturating_sub(waiting.since.elapsed());
            if let Err(shed) = self.work.resume() {
                return Poll::Ready(Some(Err(shed.into())));
            }
        }
        Poll::Ready(frame.map(|frame| self.counted(frame.map_err(BodyError::of)?)))
    }

    /// Only the client is waited for here; how long the handler takes between two reads is its own affair.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let Bounds { body_idle, body_whole, .. } = self.bounds;
        let time = self.time_left.min(body_idle);
        self.work.pause();
        let begin = || Waiting { since: Instant::now(), over: Box::pin(sleep(time)) };
        ready!(self.waiting.get_or_insert_with(begin).over.as_mut().poll(cx));
        let is_over = self.time_left <= body_idle;
        Poll::Ready(if is_over { BodyError::TooSlow(body_whole) } else { BodyError::Paused(body_idle) })
    }

    fn counted(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        let size = frame.data_ref().map_or(0, Bytes::len);
        self.left = self.left.checked_sub(size).ok_or(BodyError::TooLarge(self.most))?;
        self.arriving.add(size, &self.bounds)?;
        Ok(frame)
    }
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let limited = self.get_mut();
        let frame = ready!(limited.poll_inner(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(|error| in_the_words_of(limited.kind, error))))
    }

    fn is_end_stream(&self) -> bool {
        self.flow.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.flow.size_hint()
    }
}

/// tonic looks for a status among the sources of a body's error and knows no other.
fn in_the_words_of(kind: Kind, error: BodyError) -> Box<dyn Error + Send + Sync> {
    match kind {
        Kind::Http => Box::new(error),
        Kind::Grpc => Box::new(proto::status::of_error(&error)),
    }
}
