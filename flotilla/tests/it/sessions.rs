//! Killed while people log in: whoever was logged in is so afterwards.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use crate::processes::{Processes, SERVICES};
use crate::together::{PASSWORD, Running};
use crate::visitor::{Visitor, text};

/// Each has an account of its own, and no more sessions than an account may have.
const VISITORS: usize = 16;
const MOST_LOGINS: usize = 90;

/// Logins that are acknowledged between two kills, so that each meets some on their way.
const BETWEEN_KILLS: u32 = 40;

#[tokio::test]
async fn with_everything_in_one_process_every_acknowledged_session_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::up(dir.path()).await;
    let visitor = Visitor::of(running.services["api-gateway"].http);
    let crowd = Crowd::registered(&visitor).await;
    let kill = async {
        crowd.has_logged_in().await;
        running.program.kill().await;
        crowd.leaves();
    };
    tokio::join!(crowd.log_in(&visitor), kill);
    let again = Running::up(dir.path()).await;
    crowd.assert_kept(&Visitor::of(again.services["api-gateway"].http)).await;
}

#[tokio::test]
async fn with_processes_on_postgresql_every_acknowledged_session_is_kept() {
    let Some(mut processes) = Processes::start().await else { return };
    let visitor = Visitor::of(processes.gateway());
    let crowd = Crowd::registered(&visitor).await;
    let kills = async {
        for service in SERVICES {
            crowd.has_logged_in().await;
            processes.crash(service).await;
        }
        crowd.has_logged_in().await;
        crowd.leaves();
    };
    tokio::join!(crowd.log_in(&visitor), kills);
    crowd.assert_kept(&visitor).await;
}

/// People who log in again and again.
struct Crowd {
    /// The refresh tokens that they have been given.
    acknowledged: Mutex<Vec<String>>,
    logged_in: Semaphore,
    has_left: AtomicBool,
}

impl Crowd {
    async fn registered(visitor: &Visitor) -> Self {
        let registered = join_all((0..VISITORS).map(async |number| visitor.register(&email(number)).await));
        for answer in registered.await {
            assert_eq!(answer.unwrap().0, 201);
        }
        Self {
            acknowledged: Mutex::default(),
            logged_in: Semaphore::new(0),
            has_left: AtomicBool::new(false),
        }
    }

    async fn log_in(&self, visitor: &Visitor) {
        join_all((0..VISITORS).map(async |number| {
            let mut logins = 0;
            while logins < MOST_LOGINS && !self.has_left.load(Ordering::Relaxed) {
                // What is not acknowledged may fail in any way.
                if let Ok((200, body)) = visitor.log_in(&email(number), PASSWORD).await {
                    self.acknowledged.lock().unwrap().push(text(&body, "refresh_token").to_owned());
                    self.logged_in.add_permits(1);
                    logins += 1;
                }
            }
        }))
        .await;
    }

    /// Waits until some more have.
    async fn has_logged_in(&self) {
        self.logged_in.acquire_many(BETWEEN_KILLS).await.unwrap().forget();
    }

    fn leaves(&self) {
        self.has_left.store(true, Ordering::Relaxed);
    }

    async fn assert_kept(&self, visitor: &Visitor) {
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        for token in acknowledged {
            let (status, body) = visitor.refresh(&token).await.unwrap();
            assert_eq!(status, 200, "{body}");
            let (status, me) = visitor.me(text(&body, "access_token")).await.unwrap();
            assert_eq!((status, text(&me, "name")), (200, "Ada"));
        }
    }
}

fn email(number: usize) -> String {
    format!("ada-{number}@example.com")
}
