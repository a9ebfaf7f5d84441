use std::collections::BTreeSet;
use std::time::Duration;

use http::StatusCode;
use proto::flotilla::auth::v1::revocation::Subject;
use proto::flotilla::auth::v1::{Revocation, RevokedUser, WatchRevocationsRequest, WatchRevocationsResponse};
use runtime::Deadline;
use service_client::streaming;
use tonic::Streaming;

use crate::world::World;

const SOON: Duration = Duration::from_secs(10);

/// Which tokens are revoked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Revoked {
    Session(String),
    User(String, i64),
}

/// A gateway that watches.
pub(crate) struct Watched {
    stream: Streaming<WatchRevocationsResponse>,
    cursor: i64,
    /// Until when each matters.
    untils: Vec<i64>,
}

pub(crate) async fn watch(world: &World, since: i64) -> Watched {
    let request = streaming(WatchRevocationsRequest { since }, Deadline::within(SOON), None);
    let stream = world.tokens("api-gateway").watch_revocations(request).await.unwrap().into_inner();
    Watched { stream, cursor: since, untils: Vec::new() }
}

impl Watched {
    async fn next(&mut self) -> Vec<Revoked> {
        let told =
            Deadline::within(SOON).bound(self.stream.message()).await.expect("it does not fall silent");
        let WatchRevocationsResponse { revocations, cursor } = told.unwrap().expect("it does not end");
        self.cursor = cursor;
        self.untils.extend(revocations.iter().map(|revocation| revocation.until));
        revocations.into_iter().map(revoked).collect()
    }

    /// Waits for exactly these, in any order, and for the silence after them.
    pub(crate) async fn must_tell(&mut self, expected: &[Revoked]) {
        let mut told = BTreeSet::new();
        let telling = async {
            loop {
                let news = self.next().await;
                if news.is_empty() && told.len() >= expected.len() {
                    break;
                }
                told.extend(news);
            }
        };
        Deadline::within(SOON).bound(telling).await.expect("it is told soon");
        assert_eq!(told, expected.iter().cloned().collect());
    }
}

fn revoked(revocation: Revocation) -> Revoked {
    match revocation.subject.unwrap() {
        Subject::SessionId(id) => Revoked::Session(id),
        Subject::User(RevokedUser { id, below_version }) => Revoked::User(id, below_version),
    }
}

/// Logs in and out and answers what is revoked by that.
async fn log_out(world: &World) -> Revoked {
    let (client, email) = (world.client(), world.email());
    client.register(&email).await;
    let tokens = client.log_in(&email).await;
    let session = client.claims(&tokens.access).await.session;
    assert_eq!(client.log_out(&tokens.refresh).await, StatusCode::NO_CONTENT);
    Revoked::Session(session.to_string())
}

#[tokio::test]
async fn a_logout_is_told_wherever_it_happened_until_its_last_token_has_expired() {
    World::run_two(async |world| {
        let mut watched = watch(world, 0).await;
        for _ in 0..4 {
            let session = log_out(world).await;
            watched.must_tell(&[session]).await;
        }
        let lifetime = Duration::from_secs(10 * 60);
        let least = world.clock().now().after(lifetime).micros();
        assert!(watched.untils.iter().all(|until| *until >= least), "{least} {:?}", watched.untils);
    })
    .await;
}

#[tokio::test]
async fn whoever_comes_back_is_told_what_was_missed_and_what_may_have_been() {
    World::run(async |world| {
        let early = log_out(world).await;
        world.pass(Duration::from_secs(120));
        let late = log_out(world).await;
        let mut watched = watch(world, 0).await;
        watched.must_tell(&[early, late.clone()]).await;
        let cursor = watched.cursor;
        let missed = log_out(world).await;
        watch(world, cursor).await.must_tell(&[late, missed]).await;
    })
    .await;
}

#[tokio::test]
async fn what_has_expired_is_told_no_more() {
    World::run(async |world| {
        log_out(world).await;
        world.pass(Duration::from_secs(15 * 60));
        let fresh = log_out(world).await;
        let mut watched = watch(world, 0).await;
        watched.must_tell(&[fresh]).await;
    })
    .await;
}

#[tokio::test]
async fn the_reuse_of_a_refresh_token_revokes_the_session() {
    World::run(async |world| {
        let (client, email) = (world.client(), world.email());
        client.register(&email).await;
        let first = client.log_in(&email).await;
        let second = client.refresh(&first).await;
        client.refresh(&second).await;
        let session = client.claims(&first.access).await.session;
        let mut watched = watch(world, 0).await;
        assert_eq!(client.try_refresh(&first.refresh).await.status, StatusCode::UNAUTHORIZED);
        watched.must_tell(&[Revoked::Session(session.to_string())]).await;
    })
    .await;
}

#[tokio::test]
async fn silence_is_broken_so_that_a_gateway_knows_that_it_is_up_to_date() {
    World::run(async |world| {
        let mut watched = watch(world, 7).await;
        for _ in 0..3 {
            assert_eq!((watched.next().await, watched.cursor), (vec![], 7));
        }
    })
    .await;
}

#[tokio::test]
async fn a_watcher_does_not_hold_up_the_end() {
    let mut watched = None;
    World::run(async |world| watched = Some(watch(world, 0).await)).await;
    assert!(watched.is_some());
}
