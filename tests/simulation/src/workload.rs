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

    /// The next thing to ask for.
    pub fn draw(&mut self, random: &Random) -> Operation {
        let kind = random.below(100);
        let Some(id) = self.draw_id(random).filter(|_| kind >= 30) else {
            return Operation::Create { email: email(random), name: self.name() };
        };
        match kind {
            30..60 => Operation::Get { id },
            60..72 => Operation::Update { id, email: None, name: Some(self.name()) },
            72..84 => Operation::Update { id, email: Some(email(random)), name: Some(self.name()) },
            84..88 => Operation::Update { id, email: Some(email(random)), name: None },
            _ => Operation::Delete { id },
        }
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
