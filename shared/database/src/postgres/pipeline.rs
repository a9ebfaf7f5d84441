//! Many requests over one connection without waiting in between.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures_util::future::{MaybeDone, maybe_done};
use tokio_postgres::{Client, Error, Statement};

use crate::Value;

/// A request that has not been sent: the driver sends at the first poll.
type Request<'a> = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send + 'a>>;

/// Requests in the order in which the server gets them.
#[derive(Default)]
pub(super) struct Pipeline<'a>(Vec<Pin<Box<MaybeDone<Request<'a>>>>>);

impl<'a> Pipeline<'a> {
    /// Adds a word of transaction control.
    pub(super) fn control(&mut self, client: &'a Client, word: &'a str) {
        self.push(Box::pin(async move { client.batch_execute(word).await.map(|()| 0) }));
    }

    /// Adds a prepared statement.
    pub(super) fn statement(&mut self, client: &'a Client, statement: &'a Statement, params: &'a [Value]) {
        self.push(Box::pin(client.execute_raw(statement, params)));
    }

    fn push(&mut self, request: Request<'a>) {
        self.0.push(Box::pin(maybe_done(request)));
    }

    /// Sends all of it, then gathers the answers in the same order.
    pub(super) async fn run(mut self) -> Vec<Result<u64, Error>> {
        poll_fn(|context| {
            for request in &mut self.0 {
                // The first poll sends it; its answer is gathered below.
                let _not_yet = request.as_mut().poll(context);
            }
            Poll::Ready(())
        })
        .await;
        let mut answers = Vec::with_capacity(self.0.len());
        for mut request in self.0 {
            request.as_mut().await;
            answers.push(request.as_mut().take_output().expect("it was awaited just now"));
        }
        answers
    }
}
