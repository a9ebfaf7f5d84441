//! What the clients want: a seeded mix of requests in which they get in each other's way.

use runtime::Random;

use crate::history::{Attempt, Operation, Outcome};

/// So few that creations and changes collide, and more than are ever blocked by accounts whose creation
/// nobody got an answer to.
const EMAILS: u64 = 64;

/// The accounts that the clients know of, which all of them work on.
#[derive(Debug, Default)]
pub struct Board {
    known: Vec<String>,
    named: u64,
}

impl Board {
    /// Learns from the end of a request.
    pub fn note(&mut self, attempt: &Attempt) {
        match (&attempt.operation, &attempt.outcome) {
            (Operation::Create { .. }, Outcome::Done(Some(account))) => self.known.push(account.id.clone()),
            (Operation::Delete { id }, Outcome::Done(_)) => self.known.retain(|known| known != id),
            _ => {}
        }
    }

    /// The ids that nobody was told are gone.
    pub fn known(&self) -> &[String] {
        &self.known
    }

    /// What to ask for next, all of it at once: mostly one thing, at times several changes of one account,
    /// which then meet within the service.
    pub fn draw(&mut self, random: &Random) -> Vec<Operation> {
        /// As many as make it likely that two of them have read the same version.
        const RUSH: u64 = 3;
        let id = self.draw_id(random);
        match (random.below(100), id) {
            (0..30, _) | (_, None) => vec![Operation::Create { email: email(random), name: self.name() }],
            (30..60, Some(id)) => vec![Operation::Get { id }],
            (60..80, Some(id)) => vec![self.change(random, id)],
            (80..88, Some(id)) => (0..RUSH).map(|_| self.change(random, id.clone())).collect(),
            (_, Some(id)) => vec![Operation::Delete { id }],
        }
    }

    fn change(&mut self, random: &Random, id: String) -> Operation {
        let (email, name) = match random.below(3) {
            0 => (Some(email(random)), None),
            1 => (None, Some(self.name())),
            _ => (Some(email(random)), Some(self.name())),
        };
        Operation::Update { id, email, name }
    }

    fn draw_id(&self, random: &Random) -> Option<String> {
        let index = usize::try_from(random.below(self.known.len() as u64)).expect("it is below the length");
        self.known.get(index).cloned()
    }

    /// A name that was never used, so that whoever reads it knows which request wrote it.
    fn name(&mut self) -> String {
        self.named += 1;
        format!("Name {}", self.named)
    }
}

fn email(random: &Random) -> String {
    format!("user-{}@example.com", random.below(EMAILS))
}
