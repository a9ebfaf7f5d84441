//! A customer: it uses the platform through the gateway as a browser does, and notes what it was told.

mod crowd;
mod edge;
mod http;
mod tokens;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use runtime::Random;

use crate::client::Shared;
use crate::history::{Answer, Call, Micros, Request};
use crate::net::Traffic;
use crate::time;

pub use self::crowd::Crowd;
use self::http::Line;

/// How often a customer asks again after an answer that it cannot leave at that.
const RETRIES: u32 = 4;

/// Longer than the gateway takes to say that something is away.
const PATIENCE: Duration = Duration::from_secs(6);

/// One customer.
pub struct Customer {
    name: &'static str,
    random: Random,
    shared: Rc<RefCell<Shared>>,
    traffic: Traffic,
    /// Open and idle.
    lines: Vec<Line>,
}

impl Customer {
    /// A customer on the host `name`, whose messages are counted.
    pub fn new(name: &'static str, random: Random, shared: Rc<RefCell<Shared>>, traffic: &Traffic) -> Self {
        Self { name, random, shared, traffic: traffic.clone(), lines: Vec::new() }
    }

    /// Asks for one thing after the other until `end`, then whether what was acknowledged is still there: every
    /// `of`th of it, from `share` on.
    pub async fn run(mut self, end: Duration, share: usize, of: usize) {
        while time::elapsed() < end {
            let requests = self.shared.borrow_mut().crowd.draw(&self.random);
            self.insist(requests).await;
            self.pause(Duration::from_millis(120)).await;
        }
        let proofs = self.shared.borrow().crowd.proofs();
        for request in proofs.into_iter().skip(share).step_by(of) {
            self.make_sure(request).await;
        }
    }

    /// Asks, and mostly asks again while it is not known whether it was done.
    async fn insist(&mut self, requests: Vec<Request>) {
        let mut open = requests;
        for _ in 0..=RETRIES {
            open = self.ask(open).await;
            if open.is_empty() || self.random.below(4) == 0 {
                return;
            }
            self.pause(Duration::from_millis(500)).await;
        }
    }

    async fn make_sure(&mut self, request: Request) {
        let mut open = vec![request];
        loop {
            open = self.ask(open).await;
            if open.is_empty() {
                return;
            }
            self.pause(Duration::from_millis(500)).await;
        }
    }

    /// Asks for all of it at once, and gives back what may be asked again.
    async fn ask(&mut self, requests: Vec<Request>) -> Vec<Request> {
        let started = time::micros();
        let lines: Vec<_> = requests.iter().map(|_| self.lines.pop()).collect();
        let asked = requests.into_iter().zip(lines).map(|(request, line)| self.ask_one(line, request));
        let answered = join_all(asked).await;
        let mut open = Vec::new();
        for (request, answer, ended, line) in answered {
            self.lines.extend(line);
            if matches!(answer, Answer::Unknown | Answer::NotDone | Answer::NotNow) {
                open.push(request.clone());
            }
            let call = Call { client: self.name.to_owned(), request, started, ended, answer };
            self.shared.borrow_mut().note(call);
        }
        open
    }

    /// One request and its answer, over `line` or a new one; with the line, where it may be used again.
    async fn ask_one(&self, line: Option<Line>, request: Request) -> (Request, Answer, Micros, Option<Line>) {
        let message = edge::message(&request, self.shared.borrow().crowd.tokens());
        let Some(mut line) = http::usable(line, self.name, &self.traffic).await else {
            return (request, Answer::NotDone, time::micros(), None);
        };
        let reply = tokio::time::timeout(self.patience(&request), line.exchange(message)).await;
        let ended = time::micros();
        match reply {
            Ok(Ok(reply)) => {
                let answer = edge::answer(&request, &reply, self.shared.borrow_mut().crowd.tokens_mut());
                (request, answer, ended, Some(line))
            }
            _ => (request, Answer::Unknown, ended, None),
        }
    }

    /// How long to wait for an answer: at times not even as long as it takes, so that it is lost.
    fn patience(&self, request: &Request) -> Duration {
        let hastes = match request {
            Request::Refresh(_) => 15,
            _ => 4,
        };
        let is_in_haste = self.random.below(100) < hastes;
        if is_in_haste { self.random.jitter(Duration::from_millis(120)) } else { PATIENCE }
    }

    async fn pause(&self, most: Duration) {
        tokio::time::sleep(self.random.jitter(most)).await;
    }
}
