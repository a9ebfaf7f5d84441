//! A client of user-service: it asks, waits, and notes what it was told.

mod connection;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use runtime::Random;
use service_auth::Identity;

use crate::history::{Attempt, History, Operation, Outcome};
use crate::hosts::INSTANCES;
use crate::time;
use crate::workload::Board;

use self::connection::Connection;

/// How often a client asks again after an outcome that it cannot leave at that.
const RETRIES: u32 = 4;

/// What all clients share: what they know, and what happened.
#[derive(Debug, Default)]
pub struct Shared {
    /// The accounts they know of.
    pub board: Board,
    /// Everything so far.
    pub history: History,
}

/// One client.
pub struct Client {
    name: &'static str,
    random: Random,
    shared: Rc<RefCell<Shared>>,
    connections: [Connection; INSTANCES.len()],
}

impl Client {
    /// A client on the host `name`, known to services as `identity`.
    pub fn new(name: &'static str, identity: &Identity, random: Random, shared: Rc<RefCell<Shared>>) -> Self {
        let connections = INSTANCES.map(|instance| Connection::new(instance, identity.clone()));
        Self { name, random, shared, connections }
    }

    /// Asks for one thing after the other until `end`, then whether the accounts are still there.
    pub async fn run(mut self, end: Duration, share: usize, of: usize) {
        while time::elapsed() < end {
            let operation = self.shared.borrow_mut().board.draw(&self.random);
            self.insist(operation).await;
            self.pause(Duration::from_millis(120)).await;
        }
        self.read_back(share, of).await;
    }

    /// Asks, and mostly asks again while it is not known whether it was done.
    async fn insist(&mut self, operation: Operation) {
        for _ in 0..=RETRIES {
            let outcome = self.ask(&operation).await;
            let is_open = matches!(outcome, Outcome::Unknown | Outcome::NotDone);
            if !is_open || self.random.below(4) == 0 {
                return;
            }
            self.pause(Duration::from_millis(500)).await;
        }
    }

    /// Reads every `of`th account that should be there, from `share` on, until it gets an answer.
    async fn read_back(&mut self, share: usize, of: usize) {
        let ids: Vec<_> =
            self.shared.borrow().board.known().iter().skip(share).step_by(of).cloned().collect();
        for id in ids {
            let get = Operation::Get { id };
            while matches!(self.ask(&get).await, Outcome::Unknown | Outcome::NotDone) {
                self.pause(Duration::from_millis(500)).await;
            }
        }
    }

    async fn ask(&mut self, operation: &Operation) -> Outcome {
        let index = usize::try_from(self.random.below(INSTANCES.len() as u64)).expect("it is an index");
        let started = time::micros();
        let outcome = self.connections[index].ask(operation).await;
        let attempt = Attempt {
            client: self.name.to_owned(),
            operation: operation.clone(),
            started,
            ended: time::micros(),
            outcome: outcome.clone(),
        };
        let mut shared = self.shared.borrow_mut();
        shared.board.note(&attempt);
        shared.history.attempt(attempt);
        outcome
    }

    async fn pause(&self, most: Duration) {
        tokio::time::sleep(self.random.jitter(most)).await;
    }
}
