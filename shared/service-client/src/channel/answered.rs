use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use runtime::Deadline;
use tokio::time::{Sleep, sleep};
use tonic::Status;

use super::line::{Line, Taken};
use crate::SendError;
use crate::instances::{Answering, FAIR};

/// The body of an answer. It keeps its place on the connection until it is dropped.
#[derive(Debug)]
pub struct Answered {
    body: Incoming,
    /// By when all of it must be there.
    until: Option<Deadline>,
    /// When that has passed, once it has been waited for.
    late: Option<Pin<Box<Sleep>>>,
    /// Whether there was time enough for it.
    is_fair: bool,
    /// Until it has ended.
    answering: Option<Answering<Line>>,
    _place: Taken,
}

impl Answered {
    pub(super) fn new(
        body: Incoming,
        until: Option<Deadline>,
        place: Taken,
        answering: Answering<Line>,
    ) -> Self {
        let is_fair = until.is_some_and(|until| until.remaining() >= FAIR);
        Self { body, until, late: None, is_fair, answering: Some(answering), _place: place }
    }

    fn broke_off(&mut self) {
        if let Some(answering) = self.answering.take() {
            answering.broke_off();
        }
    }
}

impl Body for Answered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| {
                frame.map_err(|error| {
                    self.broke_off();
                    SendError::Lost(error).into()
                })
            }));
        }
        let Some(until) = self.until else { return Poll::Pending };
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(until.remaining())));
        ready!(late.as_mut().poll(context));
        if self.is_fair {
            self.broke_off();
        }
        Poll::Ready(Some(Err(SendError::Late.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
