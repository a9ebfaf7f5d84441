use http::Request;
use http::request::Parts;
use runtime::Deadline;

use crate::kept::{Kept, Sent};

/// A request to a callee, which may be sent more than once.
pub(crate) struct Outgoing<B> {
    head: Parts,
    pub(crate) body: Kept<B>,
    pub(crate) deadline: Deadline,
    /// Whether the deadline is for all of the answer, and not only for its head.
    pub(crate) whole: bool,
}

impl<B: http_body::Body<Data = bytes::Bytes>> Outgoing<B> {
    /// `request`, of which something is kept if it `may_be_sent_again`.
    pub(crate) fn new(request: Request<B>, deadline: Deadline, whole: bool, may_be_sent_again: bool) -> Self {
        let (head, body) = request.into_parts();
        Self { head, body: Kept::new(body, may_be_sent_again), deadline, whole }
    }

    /// All of it, for the next attempt. Whoever has read of it before and is not at its end gets no more.
    pub(crate) fn next(&self) -> Request<Sent<B>> {
        Request::from_parts(self.head.clone(), self.body.next())
    }
}
