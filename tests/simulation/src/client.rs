//! A client of user-service: it asks, waits, and notes what it was told.

mod connection;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use runtime::Random;
use service_auth::Identity;

use crate::customer::Crowd;
use crate::history::{Attempt, Call, History, Operation, Outcome};
use crate::hosts::{Site, USERS};
use crate::net::Traffic;
use crate::rpc::Connection;
use crate::time;
use crate::workload::Board;

use self::connection::{Answer, ask};

/// How often a client asks again after an outcome that it cannot leave at that.
const RETRIES: u32 = 4;

/// What all clients and customers share: what they know, and what happened.
#[derive(Debug, Default)]
pub struct Shared {
    /// The accounts that clients know of.
    pub board: Board,
    /// What customers know.
    pub crowd: Crowd,
    /// Everything so far.
    pub history: History,
}

impl Shared {
    /// Keeps a call, and lets the customers learn from it.
    pub(crate) fn note(&mut self, call: Call) {
        self.crowd.note(&call);
        self.history.call(call);
    }
}

/// One client.
pub struct Client {
    name: &'static str,
    random: Random,
    shared: Rc<RefCell<Shared>>,
    connections: [Connection; USERS.len()],
}

impl Client {
    /// A client on the host `name`, known to services as `identity`, whose messages are counted.
    pub fn new(
        name: &'static str,
        identity: &Identity,
        random: Random,
        shared: Rc<RefCell<Shared>>,
        traffic: &Traffic,
    ) -> Self {
        let connections =
            USERS.map(|instance| Connection::new(name, Site::Users, instance, identity, traffic));
        Self { name, random, shared, connections }
    }

    /// Asks for one thing after the other until `end`, then whether the accounts are still there: every
    /// `of`th of them, from `share` on.
    pub async fn run(mut self, end: Duration, share: usize, of: usize) {
        while time::elapsed() < end {
            let operations = self.shared.borrow_mut().board.draw(&self.random);
            self.insist(operations).await;
            self.pause(Duration::from_millis(120)).await;
        }
        let ids: Vec<_> =
            self.shared.borrow().board.known().iter().skip(share).step_by(of).cloned().collect();
        for id in ids {
            self.read_back(id).await;
        }
    }

    /// Asks, and mostly asks again while it is not known whether it was done.
    async fn insist(&mut self, operations: Vec<Operation>) {
        let mut open = operations;
        for _ in 0..=RETRIES {
            open = self.ask(open).await;
            if open.is_empty() || self.random.below(4) == 0 {
                return;
            }
            self.pause(Duration::from_millis(500)).await;
        }
    }

    async fn read_back(&mut self, id: String) {
        let mut open = vec![Operation::Get { id }];
        loop {
            open = self.ask(open).await;
            if open.is_empty() {
                return;
            }
            self.pause(Duration::from_millis(500)).await;
        }
    }

    /// Asks one instance for all of it at once, and gives back what may be asked again.
    async fn ask(&mut self, operations: Vec<Operation>) -> Vec<Operation> {
        let index = usize::try_from(self.random.below(USERS.len() as u64)).expect("it is an index");
        let started = time::micros();
        let answers = ask(&mut self.connections[index], &operations).await;
        let mut open = Vec::new();
        for (operation, Answer { outcome, ended }) in operations.into_iter().zip(answers) {
            if matches!(outcome, Outcome::Unknown | Outcome::NotDone) {
                open.push(operation.clone());
            }
            let client = self.name.to_owned();
            let attempt = Attempt { client, operation, started, ended, outcome };
            let mut shared = self.shared.borrow_mut();
            shared.board.note(&attempt);
            shared.history.attempt(attempt);
        }
        open
    }

    async fn pause(&self, most: Duration) {
        tokio::time::sleep(self.random.jitter(most)).await;
    }
}
