//! Following the instances of one service.

use std::sync::Arc;
use std::time::Duration;

use runtime::Random;
use tokio::time::{Instant, sleep, sleep_until};

use super::agent::Agent;
use super::catalogue::{Entry, Index};
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
    let mut index = Index::NONE;
    loop {
        let began = Instant::now();
        match agent.healthy(watched.service(), index).await {
            Ok((next, entries)) => {
                backoff.reset();
                if !next.waits() {
                    watched.doubt();
                }
                watched.learn_of(entries.iter().map(Entry::endpoint));
                index = next;
                sleep_until(began + PACE).await;
            }
            Err(error) => {
                watched.fail(&error.to_string());
                agent.reconsider(&error);
                // Whatever answers next may be another catalogue, which has not got as far.
                index = Index::NONE;
                sleep(backoff.pause()).await;
            }
        }
    }
}
