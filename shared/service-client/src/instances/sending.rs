use std::sync::Arc;
use std::time::Duration;

use resilience::{Change, Permit, Verdict};
use tokio::time::Instant;

use super::{Connections, Instance};
use crate::witness::Watch;
use crate::{ConnectError, SendError, What};

/// What takes this long is felt by whoever waits for it, and so it is time enough for an answer.
pub(crate) const FAIR: Duration = Duration::from_secs(1);

/// A request on its way to an instance, which is told at last what came of it. Dropped before, it teaches nothing.
#[derive(Debug)]
pub(crate) struct Sending<C: Connections> {
    pub(crate) instance: Arc<Instance<C>>,
    permit: Option<Permit>,
    began: Instant,
    watch: Watch,
}

impl<C: Connections> Sending<C> {
    pub(super) fn begin(instance: &Arc<Instance<C>>, permit: Permit, now: Instant, watch: &Watch) -> Self {
        instance.load.begin();
        watch.tell(|| What::Chosen { addr: instance.addr, is_trial: permit.is_trial() });
        let (instance, watch) = (Arc::clone(instance), watch.clone());
        Self { instance, permit: Some(permit), began: now, watch }
    }

    /// Notes that there is a connection, which did not have to be waited for.
    pub(crate) fn connected_before(&self) {
        self.instance.reached();
    }

    /// Notes that there is a connection, from which on the instance is what takes time.
    pub(crate) fn connected(&mut self) {
        self.instance.reached();
        self.began = Instant::now();
    }

    /// Whether the request may still go out: the breaker has not opened while it was being connected.
    pub(crate) fn may_go(&self) -> bool {
        self.permit.as_ref().is_some_and(|permit| self.instance.breaker.still_lets_in(permit))
    }

    /// Since when the instance has had the request, as far as this process would have heard of an answer.
    pub(crate) fn began(&self) -> Instant {
        self.began.max(self.instance.common.stood_still.last())
    }

    /// Notes that this process has stood still, which is nothing against those that were asked before.
    pub(crate) fn stood_still(&self) {
        self.instance.common.stood_still.note(Instant::now());
    }

    /// Whether this process has stood still since the instance has had the request, and has hardly caught up.
    pub(super) fn has_slept(&self) -> bool {
        let began = self.began();
        began > self.began && began.elapsed() < FAIR
    }

    /// Notes that there is no connection.
    pub(super) fn unreached(mut self, error: &ConnectError) {
        let verdict = self.instance.unreached(error);
        self.leave(verdict);
    }

    /// Notes what the beginning of an answer says of the instance, of which the rest may yet say another thing.
    pub(crate) fn answered(mut self, verdict: Verdict) -> Answering<C> {
        let now = Instant::now();
        self.instance.heard.note(now);
        let (took, load) = (now - self.began, &self.instance.load);
        if verdict == Verdict::Success {
            load.answered(took, now);
        } else {
            load.failed(took);
        }
        if self.leave(verdict) == Some(Change::Closed) {
            self.instance.load.recovered(took);
        }
        Answering { instance: Arc::clone(&self.instance), watch: self.watch.clone() }
    }

    /// Notes that no answer came, although there was time for one.
    pub(crate) fn failed(mut self) {
        self.instance.load.failed(self.began.elapsed());
        self.leave(Verdict::Failure);
    }

    /// Notes that it did not get onto a connection, so that others are cheaper for now.
    pub(super) fn unsent(self) {
        self.instance.load.failed(self.began.elapsed());
    }

    /// Notes that an answer was not waited for, because none came for long and another instance gave one. Where nobody
    /// else answers either, that is nothing against this instance: they may all wait for the same.
    pub(crate) fn left(self, others_answer: bool) {
        if others_answer {
            return self.failed();
        }
        self.instance.load.failed(self.began.elapsed());
    }

    /// Notes that the connection was lost, which a callee that takes its leave in order is not blamed for.
    /// Neither is one that a process which stands still has kept waiting.
    pub(crate) fn broken(self, error: &SendError) {
        if matches!(error, SendError::Lost(_)) && !self.has_slept() {
            self.failed();
        }
    }

    /// Whether nobody has heard anything of the instance since it has had the request.
    pub(crate) fn is_silent(&self) -> bool {
        self.instance.heard.nothing_since(self.began())
    }

    /// Notes that the deadline passed. Whoever gave the instance no time for an answer, or did not give it all of the
    /// request, cannot blame it; and what takes one too long that answers others, another may keep waiting that it asks.
    pub(crate) fn late(self, is_sent: bool) {
        if is_sent && self.began().elapsed() >= FAIR {
            let is_to_blame = self.is_silent();
            self.left(is_to_blame);
        }
    }

    fn leave(&mut self, verdict: Verdict) -> Option<Change> {
        let permit = self.permit.take()?;
        let (service, addr, is_trial) =
            (&self.instance.common.service, self.instance.addr, permit.is_trial());
        let change = self.instance.breaker.leave(permit, verdict);
        self.watch.tell(|| What::Left { addr, is_trial, change });
        match change {
            Some(Change::Opened) => {
                self.instance.connections.forget();
                self.instance.look_after();
                if is_trial {
                    tracing::debug!(%service, %addr, "an instance is not well yet");
                } else {
                    tracing::warn!(%service, %addr, "an instance fails, and its circuit breaker opens");
                }
            }
            Some(Change::Closed) => tracing::info!(%service, %addr, "an instance's circuit breaker closes"),
            _ => {}
        }
        change
    }
}

/// An instance whose answer has begun.
#[derive(Debug)]
pub(crate) struct Answering<C> {
    instance: Arc<Instance<C>>,
    watch: Watch,
}

impl<C: Connections> Answering<C> {
    /// Notes that the answer did not come to its end. Where the breaker has opened meanwhile, that is known already.
    pub(crate) fn broke_off(self) {
        let breaker = &self.instance.breaker;
        let permit = breaker.is_closed().then(|| breaker.try_enter().ok()).flatten();
        if let Some(permit) = permit.filter(|permit| !permit.is_trial()) {
            Sending::begin(&self.instance, permit, Instant::now(), &self.watch).failed();
        }
    }
}

impl<C: Connections> Drop for Sending<C> {
    fn drop(&mut self) {
        self.leave(Verdict::Nothing);
        self.instance.load.end();
    }
}
