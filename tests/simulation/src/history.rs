//! What was asked for and what was told, in the order in which it was told, and what happened meanwhile.

mod call;
mod circumstances;
mod sight;
mod told;

use std::collections::BTreeSet;
use std::fmt;

pub use self::call::{Answer, Call, Grant, Refusal, Request, Shown};
pub use self::circumstances::{Circumstances, RECOVERY};
pub use self::sight::{Ailing, Caller, Edge, Sight};
use self::told::Moment;

/// Of a UUID in its hyphenated form.
const UUID_LENGTH: usize = 36;

/// A moment of the simulation, in microseconds from its start.
pub type Micros = u64;

/// What a client of user-service may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new account.
    Create {
        /// Its e-mail.
        email: String,
        /// Its name, which no other creation or change uses.
        name: String,
    },
    /// What an account holds.
    Get {
        /// Its id.
        id: String,
    },
    /// A change of an account, of those fields that are given.
    Update {
        /// Its id.
        id: String,
        /// The new e-mail.
        email: Option<String>,
        /// The new name, which no other creation or change uses.
        name: Option<String>,
    },
    /// Another password for an account.
    SetPassword {
        /// Its id.
        id: String,
    },
    /// A role for an account, be it the one that it has.
    SetRole {
        /// Its id.
        id: String,
        /// The role.
        role: String,
    },
    /// The end of an account.
    Delete {
        /// Its id.
        id: String,
    },
}

/// An account as a client or the database shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// Its e-mail.
    pub email: String,
    /// Its name.
    pub name: String,
}

/// What such a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done; with the account as it is now, where the answer holds one.
    Done(Option<Account>),
    /// It cannot be: there is no such account.
    NotFound,
    /// It cannot be: the e-mail belongs to another account.
    EmailTaken,
    /// It did not happen, and may be tried again.
    NotDone,
    /// No answer came, or one that leaves it open.
    Unknown,
    /// An answer that a right service never gives to these clients.
    Unexpected(String),
}

/// One request of such a client and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The client's host.
    pub client: String,
    /// What it asked for.
    pub operation: Operation,
    /// When.
    pub started: Micros,
    /// When it was told the outcome, or gave up.
    pub ended: Micros,
    /// What it was told.
    pub outcome: Outcome,
}

impl Attempt {
    /// Whether the service told that it did as it was asked.
    pub fn is_acknowledged(&self) -> bool {
        matches!(self.outcome, Outcome::Done(_))
    }
}

/// Everything that happened, as far as a domain expert would tell it: requests with their outcomes, and
/// faults. The same seed gives the same history; bytes on the wire and the timing within a host do not count.
#[derive(Clone, Debug, Default)]
pub struct History {
    attempts: Vec<Attempt>,
    calls: Vec<Call>,
    sights: Vec<Sight>,
    ailing: Vec<Ailing>,
    circumstances: Circumstances,
    lines: Vec<String>,
}

impl History {
    /// Adds a request that has ended.
    pub fn attempt(&mut self, attempt: Attempt) {
        self.lines.push(attempt.to_string());
        self.attempts.push(attempt);
    }

    /// Adds a request to the gateway or by the operator that has ended.
    pub fn call(&mut self, call: Call) {
        self.lines.push(call.to_string());
        self.calls.push(call);
    }

    /// Adds what happened to a request between services.
    pub fn sight(&mut self, sight: Sight) {
        self.lines.extend(sight.told());
        self.sights.push(sight);
    }

    /// Adds an instance that is not sent to.
    pub fn ailing(&mut self, ailing: Ailing) {
        self.ailing.push(ailing);
    }

    /// Adds something that happened to the world.
    pub fn event(&mut self, at: Micros, event: impl fmt::Display) {
        self.lines.push(format!("{} {event}", Moment(at)));
    }

    /// What happened to the world.
    pub fn circumstances(&self) -> &Circumstances {
        &self.circumstances
    }

    /// What happened to the world, for whoever makes it happen.
    pub fn circumstances_mut(&mut self) -> &mut Circumstances {
        &mut self.circumstances
    }

    /// The requests to user-service itself, in the order of their ends.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The requests to the gateway and those of the operator, in the order of their ends.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// What happened to the requests between services, in order.
    pub fn sights(&self) -> &[Sight] {
        &self.sights
    }

    /// The instances that were found not to be sent to.
    pub fn all_ailing(&self) -> &[Ailing] {
        &self.ailing
    }

    /// How many requests ended.
    pub fn asked(&self) -> usize {
        self.attempts.len() + self.calls.len()
    }

    /// How many requests were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.is_acknowledged()).count()
            + self.calls.iter().filter(|call| call.is_acknowledged()).count()
    }

    /// All of it in words.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The `count` lines before the last one that `words` quote, or before the end, of those that tell of one of the
    /// accounts, sessions and e-mails that they name, or of a fault.
    pub fn about(&self, words: &[String], count: usize) -> Vec<String> {
        let named: BTreeSet<_> = words.iter().flat_map(|text| subjects(text)).collect();
        let is_about = |line: &&String| {
            let mut told = subjects(line).peekable();
            told.peek().is_none() || told.any(|subject| named.contains(subject))
        };
        let is_quoted = |line: &String| words.iter().any(|text| text.contains(line.as_str()));
        let end = self.lines.iter().rposition(is_quoted).map_or(self.lines.len(), |quoted| quoted + 1);
        let mut lines: Vec<_> =
            self.lines[..end].iter().rev().filter(is_about).take(count).cloned().collect();
        lines.reverse();
        lines
    }

    /// A number that two runs share if, and practically only if, they went the same way (FNV-1a).
    pub fn hash(&self) -> u64 {
        const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let bytes = self.lines.iter().flat_map(|line| line.bytes().chain([b'\n']));
        bytes.fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
    }
}

/// The accounts, sessions and e-mails that a text names.
fn subjects(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split([' ', '"', ':', ',']);
    words.filter(|word| word.contains('@') || word.len() == UUID_LENGTH)
}
