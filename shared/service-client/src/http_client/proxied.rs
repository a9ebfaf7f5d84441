use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::pool::{Lease, Pool};
use crate::instances::Answering;

/// The body of an answer as it comes. With its last byte the connection is free for the next request; dropped before,
/// it ends the connection.
pub struct Proxied<B> {
    body: Incoming,
    /// Until it has ended.
    rest: Option<(Lease<B>, Answering<Pool<B>>)>,
}

impl<B> Proxied<B> {
    pub(super) fn new(body: Incoming, lease: Lease<B>, answering: Answering<Pool<B>>) -> Self {
        let mut proxied = Self { body, rest: Some((lease, answering)) };
        if proxied.body.is_end_stream() {
            proxied.settle();
        }
        proxied
    }

    /// Notes that whoever wants it waits for it no longer, as nothing of it comes: it is held against the instance.
    pub fn give_up(&mut self) {
        if let Some((_, answering)) = self.rest.take() {
            answering.broke_off();
        }
    }

    fn settle(&mut self) {
        if let Some((lease, _)) = self.rest.take() {
            lease.give_back();
        }
    }
}

impl<B> Body for Proxied<B> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(_))) if !self.body.is_end_stream() => {}
            Poll::Ready(Some(Ok(_)) | None) => self.settle(),
            // What its user did, such as to close, is not the instance's doing.
            Poll::Ready(Some(Err(error))) if error.is_user() => self.rest = None,
            Poll::Ready(Some(Err(_))) => self.give_up(),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> fmt::Debug for Proxied<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxied").field("body", &self.body).finish_non_exhaustive()
    }
}
