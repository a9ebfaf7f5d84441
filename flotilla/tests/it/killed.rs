//! Killed in the middle of a thousand creations: what was acknowledged is there afterwards.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use proto::userservice::User;
use tokio::sync::Notify;
use tonic::Code;

use crate::program::Program;
use crate::server;
use crate::together::{Accounts, Running};

const CREATIONS: usize = 1_000;
const CALLERS: usize = 32;

/// As many creations are acknowledged when the program is killed, and [`CALLERS`] are under way.
const ACKNOWLEDGED: usize = 300;

#[tokio::test]
async fn with_everything_in_one_process_every_acknowledged_account_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    every_acknowledged_account_is_kept(async || Running::up(dir.path()).await).await;
}

#[tokio::test]
async fn alone_on_postgresql_every_acknowledged_account_is_kept() {
    let Some(url) = server::new_database().await else { return };
    let dir = tempfile::tempdir().unwrap();
    every_acknowledged_account_is_kept(async || Running::alone(dir.path(), &url).await).await;
}

async fn every_acknowledged_account_is_kept(start: impl AsyncFn() -> Running) {
    let mut running = start().await;
    let accounts = running.accounts().await;
    let flood = Flood::default();
    let callers = join_all((0..CALLERS).map(|_| flood.call(accounts.clone())));
    let (outcomes, ()) = tokio::join!(callers, flood.kill(&mut running.program));
    let (made, lost): (Vec<Vec<User>>, Vec<Option<String>>) = outcomes.into_iter().unzip();
    let (made, lost) = (made.concat(), lost.into_iter().flatten().collect::<Vec<_>>());
    assert!(made.len() >= ACKNOWLEDGED && !lost.is_empty(), "{} made, {} lost", made.len(), lost.len());

    let again = start().await;
    let mut accounts = again.accounts().await;
    for user in &made {
        let read = accounts.get(&user.id).await;
        assert!(read.as_ref().is_ok_and(|read| read == user), "{user:?} was acknowledged: {read:?}");
    }
    for email in &lost {
        let again = accounts.create(email).await.map_err(|refused| refused.code());
        assert!(matches!(again, Ok(_) | Err(Code::AlreadyExists)), "{email}: {again:?}");
    }
}

/// Callers who create one account after another.
#[derive(Default)]
struct Flood {
    begun: AtomicUsize,
    acknowledged: AtomicUsize,
    enough: Notify,
}

impl Flood {
    /// Creates accounts until one gets no answer; gives back those that were acknowledged, and that one's e-mail.
    async fn call(&self, mut accounts: Accounts) -> (Vec<User>, Option<String>) {
        let mut made = Vec::new();
        loop {
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            if number >= CREATIONS {
                return (made, None);
            }
            let email = format!("user-{number}@example.com");
            match accounts.create(&email).await {
                Ok(user) => made.push(user),
                Err(_) => return (made, Some(email)),
            }
            if self.acknowledged.fetch_add(1, Ordering::Relaxed) + 1 == ACKNOWLEDGED {
                self.enough.notify_one();
            }
        }
    }

    async fn kill(&self, program: &mut Program) {
        self.enough.notified().await;
        program.kill().await;
    }
}
