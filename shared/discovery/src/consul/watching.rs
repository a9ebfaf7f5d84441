//! Following the instances of one service.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use runtime::Random;
use tokio::time::{Instant, sleep, sleep_until};

use super::agent::Agent;
use super::catalogue::{Entry, Index, Wrong};
use crate::Endpoint;
use crate::backoff::Backoff;
use crate::watches::Watched;

/// The longest pause after a failure: everybody is to know of everybody within seconds of the agent's return.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// The least time between the beginnings of two queries, where a catalogue changes all the time. A change after a quiet
/// moment is told at once.
const PACE: Duration = Duration::from_millis(500);

/// Asks for ever, each time until something changes.
pub(super) async fn follow(agent: Arc<Agent>, random: Random, watched: Arc<Watched>) {
    let mut backoff = Backoff::new(&random, LONGEST_PAUSE);
    let mut skipped = Skipped::default();
    let mut index = Index::NONE;
    loop {
        let began = Instant::now();
        match agent.healthy(watched.service(), index).await {
            Ok((next, entries)) => {
                backoff.reset();
                if !next.waits() {
                    watched.doubt();
                }
                watched.learn(skipped.leave_out(&entries, &watched));
                index = next;
                sleep_until(began + PACE).await;
            }
            Err(error) => {
                watched.fail(&error.to_string());
                // Whatever answers next may be another catalogue, which has not got as far.
                index = Index::NONE;
                sleep(backoff.pause()).await;
            }
        }
    }
}

/// The ids of the instances that were left out of the last set, each of which has been warned of.
#[derive(Default)]
struct Skipped(BTreeSet<String>);

impl Skipped {
    fn leave_out(&mut self, entries: &[Entry], watched: &Watched) -> BTreeSet<Endpoint> {
        let (mut found, mut skipped) = (BTreeSet::new(), BTreeSet::new());
        for entry in entries {
            match entry.endpoint() {
                Ok(endpoint) => {
                    found.insert(endpoint);
                }
                Err(Wrong { id, why }) => {
                    if !self.0.contains(&id) {
                        tracing::warn!(service = %watched.service(), instance = id, why, "an instance is left out");
                    }
                    skipped.insert(id);
                }
            }
        }
        self.0 = skipped;
        found
    }
}
