use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use runtime::Deadline;
use tokio::time::{Sleep, sleep};
use tonic::Status;

use super::line::Taken;
use crate::SendError;

/// The body of an answer. It keeps its place on the connection until it is dropped.
#[derive(Debug)]
pub struct Answered {
    body: Incoming,
    /// By when all of it must be there.
    late: Option<Pin<Box<Sleep>>>,
    _place: Taken,
}

impl Answered {
    pub(super) fn new(body: Incoming, until: Option<Deadline>, place: Taken) -> Self {
        let late = until.map(|deadline| Box::pin(sleep(deadline.remaining())));
        Self { body, late, _place: place }
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
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| SendError::Lost(error).into())));
        }
        let Some(late) = &mut self.late else { return Poll::Pending };
        late.as_mut().poll(context).map(|()| Some(Err(SendError::Late.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
