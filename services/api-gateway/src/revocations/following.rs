//! Learning of revocations as they happen, from the service that issues the tokens.
//!
//! Before the first word of it no token is taken. Later, while its stream is away, nothing new is learnt and tokens hold
//! until they expire: better that than to turn everybody away. A gauge tells for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chassis::Platform;
use proto::flotilla::auth::v1::revocation::Subject as Wire;
use proto::flotilla::auth::v1::tokens_service_client::TokensServiceClient;
use proto::flotilla::auth::v1::{
    Revocation as WireRevocation, RevokedUser, WatchRevocationsRequest, WatchRevocationsResponse,
};
use runtime::{Clock, Deadline, Env, Random};
use service_client::{CallError, Channel};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use types::Timestamp;

use super::{Revocation, Revocations, Subject};

/// What is needed to go on learning.
pub(crate) struct Follower {
    revocations: Arc<Revocations>,
    channel: Channel,
    clock: Clock,
    random: Random,
    heard_at: Arc<AtomicI64>,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("watching revocations")]
    Call(#[from] CallError),
    #[error("the stream ended")]
    Ended,
    #[error("nothing came for {0:?}")]
    Silent(Duration),
}

impl Follower {
    /// For a stream to begin.
    const PATIENCE: Duration = Duration::from_secs(2);
    /// Something comes each second, if only to say that nothing happened.
    const SILENCE: Duration = Duration::from_secs(5);
    /// Before the next try, and as much again at random: gateways that lost an instance do not come back together.
    const PAUSE: Duration = Duration::from_millis(500);

    pub(crate) fn new(revocations: &Arc<Revocations>, channel: Channel, platform: &Platform) -> Self {
        let Env { clock, random, .. } = &platform.env;
        let metrics = &platform.metrics;
        let heard_at = Arc::new(AtomicI64::new(clock.now().micros()));
        let (heard, now) = (Arc::clone(&heard_at), clock.clone());
        metrics.gauge(
            "flotilla_revocations_age_seconds",
            "How long nothing was heard of revocations, since when tokens hold until they expire",
            move || {
                let heard = Timestamp::from_micros(heard.load(Ordering::Relaxed));
                i64::try_from(now.now().since(heard).as_secs()).unwrap_or(i64::MAX)
            },
        );
        let counted = Arc::clone(revocations);
        metrics.gauge("flotilla_revocations", "Revocations that still matter", move || {
            i64::try_from(counted.count()).unwrap_or(i64::MAX)
        });
        let (clock, random) = (clock.clone(), random.clone());
        Self { revocations: Arc::clone(revocations), channel, clock, random, heard_at }
    }

    /// Goes on until `stop`.
    pub(crate) async fn follow(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow_on()).await;
    }

    async fn follow_on(&self) {
        let mut cursor = 0;
        let mut is_lost = false;
        loop {
            let before = self.heard_at.load(Ordering::Relaxed);
            let lost = match self.follow_one(&mut cursor).await {
                Err(lost) => lost,
                Ok(never) => match never {},
            };
            let was_heard = self.heard_at.load(Ordering::Relaxed) != before;
            // Told when it begins, not with each try.
            if was_heard || !is_lost {
                tracing::warn!(error = &lost as &dyn std::error::Error, "revocations are not heard of");
            }
            is_lost = true;
            sleep(Self::PAUSE + self.random.jitter(Self::PAUSE)).await;
        }
    }

    /// Follows one stream to its end.
    async fn follow_one(&self, cursor: &mut i64) -> Result<std::convert::Infallible, Lost> {
        let request = WatchRevocationsRequest { since: *cursor };
        let request = service_client::streaming(request, Deadline::within(Self::PATIENCE), None);
        let mut client = TokensServiceClient::new(self.channel.clone());
        let mut stream = client.watch_revocations(request).await.map_err(CallError::from)?.into_inner();
        loop {
            let message = timeout(Self::SILENCE, stream.message()).await;
            let message =
                message.map_err(|_elapsed| Lost::Silent(Self::SILENCE))?.map_err(CallError::from)?;
            let message = message.ok_or(Lost::Ended)?;
            self.hear(&message);
            *cursor = message.cursor;
        }
    }

    fn hear(&self, message: &WatchRevocationsResponse) {
        let now = self.clock.now();
        self.revocations.learn(message.revocations.iter().filter_map(learnt), now);
        self.heard_at.store(now.micros(), Ordering::Relaxed);
    }
}

/// What cannot be read must not keep the others from being learnt; the tokens that it is about hold until they expire.
fn learnt(revocation: &WireRevocation) -> Option<Revocation> {
    let read = read(revocation);
    if read.is_none() {
        tracing::error!(?revocation, "a revocation cannot be read: is the gateway older than auth-service?");
    }
    read
}

fn read(revocation: &WireRevocation) -> Option<Revocation> {
    let (subject, below_version) = match revocation.subject.as_ref()? {
        Wire::SessionId(id) => (Subject::Session(id.parse().ok()?), i64::MAX),
        Wire::User(RevokedUser { id, below_version }) => (Subject::User(id.parse().ok()?), *below_version),
    };
    Some(Revocation { subject, below_version, until: Timestamp::from_micros(revocation.until) })
}
