//! hyper, bounded: both versions of HTTP and what they call for each request.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use runtime::Tasks;
use tracing::Instrument as _;

use super::Limits;
use super::activity::Activity;
use super::connection::Finish;
use super::counters::Counters;
use super::framing::{Ending, Wire};
use crate::Inbound;
use crate::inbound::{Answer, Client, patient};

/// The first bytes of HTTP/2 (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Four times the largest head, so that bodies are read in fair pieces.
const HTTP1_BUFFER: usize = 64 * 1024;
/// What a client may have sent over one connection that nobody has read yet.
const CONNECTION_WINDOW: u32 = 1 << 20;
const STREAM_WINDOW: u32 = 256 * 1024;
/// What one caller may have in flight over one connection; RFC 9113 advises against less than 100.
const MOST_STREAMS: u32 = 256;
/// Four times what we take: what is over our bound and within this one gets an answer that says so.
const LARGEST_HEADER_LIST: u32 = 64 * 1024;
/// Waiting answers are held back at the handler, not buffered here.
const SEND_BUFFER: usize = 256 * 1024;
/// Streams that a client opens and resets at once cost work and no slot ("rapid reset"): beyond so many that
/// wait to be noticed, or so many faults of a client's own making, the connection ends.
const MOST_PENDING_RESETS: usize = 32;
const MOST_LOCAL_RESETS: usize = 128;
/// A peer that is gone without a word is noticed after both, well before a caller runs out of connections.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn http1(limits: &Limits) -> http1::Builder {
    let mut http1 = http1::Builder::new();
    // To hyper this is the time for a head. It counts from the answer before, though, and the wire is stricter
    // with a head that has begun, so that what is left of it is the time between two requests.
    http1.timer(TokioTimer::new()).header_read_timeout(limits.idle).max_buf_size(HTTP1_BUFFER);
    http1
}

pub(super) fn http2(tasks: &Tasks, counters: &Counters, limits: &Limits) -> http2::Builder<Streams> {
    let streams = Streams { tasks: tasks.clone(), counters: counters.clone(), write: limits.write };
    let mut http2 = http2::Builder::new(streams);
    http2
        .timer(TokioTimer::new())
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(LARGEST_HEADER_LIST)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MOST_PENDING_RESETS)
        .max_local_error_reset_streams(MOST_LOCAL_RESETS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    http2
}

/// Where the streams of HTTP/2 run: each in a task of its own.
#[derive(Clone)]
pub(super) struct Streams {
    tasks: Tasks,
    counters: Counters,
    write: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let (counters, write) = (self.counters.clone(), self.write);
        // On its way into its task it is moved a dozen times.
        let stream = Box::pin(stream);
        let contained = async move {
            let taken = async {
                // Dropped unfinished, a stream is reset.
                if !patient(stream, write).await {
                    counters.untaken();
                }
            };
            counters.contain(taken).await;
        };
        self.tasks.spawn("http2 stream", contained.in_current_span());
    }
}

/// The requests of one connection.
pub(super) struct Requests {
    inbound: Inbound,
    client: Arc<Client>,
    ending: Ending,
    activity: Activity,
    seen: AtomicUsize,
}

impl Requests {
    pub(super) fn new(inbound: &Inbound, client: Client, ending: Ending, activity: Activity) -> Self {
        let (inbound, client) = (inbound.clone(), Arc::new(client));
        Self { inbound, client, ending, activity, seen: AtomicUsize::new(0) }
    }
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (inbound, client, ending) = (self.inbound.clone(), Arc::clone(&self.client), self.ending.clone());
        let nth = self.seen.fetch_add(1, Ordering::Relaxed);
        let busy = self.activity.begin();
        Box::pin(async move {
            let answer = inbound.answer(&client, ending.place_of(nth), request).await;
            Ok(answer.map(|answer| answer.keeping(busy)))
        })
    }
}

impl Finish for http1::Connection<TokioIo<Wire>, Requests> {
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl Finish for http2::Connection<TokioIo<Wire>, Requests, Streams> {
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
