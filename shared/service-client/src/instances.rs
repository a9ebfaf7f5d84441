//! The instances of a service, and which of them a request goes to.
//!
//! Of two that are drawn by lot, the one that costs less (the power of two choices, of Mitzenmacher): whoever always took
//! the cheapest would have all callers run to the same one. Left out are those that could not be connected to and those
//! whose circuit breaker is open. After each pause they are connected to in the background, so that an instance which is
//! dead or hangs is found out by a handshake for which nobody waits. Over such a connection one request finds out whether
//! the instance is well again.

mod away;
mod load;
mod reconnect;
mod search;
mod sending;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use discovery::{Endpoint, Endpoints};
use resilience::{BreakerConfig, CircuitBreaker, State, Verdict};
use runtime::Random;
use tokio::sync::watch;
use types::ServiceName;

use self::away::{Away, Reason};
use self::load::Load;
pub(crate) use self::reconnect::Reconnect;
pub(crate) use self::search::{Nowhere, Search};
pub(crate) use self::sending::{Answering, FAIR, Sending};
use crate::ConnectError;
use crate::dialer::told;
use crate::heard::Heard;
use crate::witness::Watch;

/// What is kept of the connections to an instance.
pub(crate) trait Connections: Default {
    /// Has the next request make a connection anew.
    fn forget(&self);

    /// Whether there is a connection that can be used.
    fn is_connected(&self) -> bool;
}

/// The instances of a service as they are known now, each with its connections.
#[derive(Debug)]
pub(crate) struct Instances<C> {
    common: Arc<Common>,
    address: fn(&Endpoint) -> SocketAddr,
    known: ArcSwap<Known<C>>,
    /// Held by whoever takes in what is new.
    updating: Mutex<()>,
    lots: Lots,
    reconnect: Reconnect<C>,
}

/// What the instances of a service have in common.
#[derive(Debug)]
struct Common {
    service: ServiceName,
    breaker: BreakerConfig,
    /// When this process last stood still.
    stood_still: Heard,
    /// Whether any may be away or have an open breaker: else nobody need look for one.
    ailing: AtomicBool,
}

/// A set of endpoints and what is made of it.
#[derive(Debug)]
struct Known<C> {
    /// Tells when the set is no longer the last one.
    news: watch::Receiver<Endpoints>,
    instances: Vec<Arc<Instance<C>>>,
}

/// An instance that can be connected to. What it holds ends with the last request to it once it is no longer known.
#[derive(Debug)]
pub(crate) struct Instance<C> {
    common: Arc<Common>,
    pub(crate) addr: SocketAddr,
    pub(crate) connections: C,
    pub(crate) heard: Heard,
    away: Away,
    breaker: CircuitBreaker,
    load: Load,
}

/// How an instance is, for whoever operates the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceStatus {
    /// Where it is.
    pub addr: SocketAddr,
    /// The state of its circuit breaker.
    pub breaker: State,
    /// Whether it could not be connected to the last time.
    pub is_away: bool,
    /// The requests that wait for its answer.
    pub under_way: u32,
}

impl<C: Connections> Instances<C> {
    pub(crate) fn new(
        service: &ServiceName,
        news: watch::Receiver<Endpoints>,
        address: fn(&Endpoint) -> SocketAddr,
        breaker: BreakerConfig,
        random: &Random,
        reconnect: Reconnect<C>,
    ) -> Self {
        let (service, stood_still) = (service.clone(), Heard::default());
        let common = Arc::new(Common { service, breaker, stood_still, ailing: AtomicBool::new(false) });
        let known =
            ArcSwap::from_pointee(Known::take(news, &[], address, |addr| Instance::new(&common, addr, None)));
        Self { common, address, known, updating: Mutex::default(), lots: Lots::new(random), reconnect }
    }

    /// Looks for instances for the request of `watch`.
    pub(crate) fn search(&self, watch: &Watch) -> Search<'_, C> {
        Search::new(self, watch.clone())
    }

    /// The set as it is now.
    fn known(&self) -> Arc<Known<C>> {
        let known = self.known.load_full();
        if !known.is_old() {
            return known;
        }
        self.update();
        self.known.load_full()
    }

    fn update(&self) {
        let _updating = self.updating.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.load_full();
        if known.is_old() {
            let usual = usual(&known.instances);
            let new = |addr| Instance::new(&self.common, addr, usual);
            let next = Known::take(known.news.clone(), &known.instances, self.address, new);
            self.known.store(Arc::new(next));
        }
    }

    pub(crate) fn status(&self) -> Vec<InstanceStatus> {
        let status = |instance: &Arc<Instance<C>>| InstanceStatus {
            addr: instance.addr,
            breaker: instance.breaker.state(),
            is_away: instance.away.has_begun(),
            under_way: instance.load.under_way(),
        };
        self.known().instances.iter().map(status).collect()
    }
}

impl<C: Connections> Known<C> {
    fn take(
        mut news: watch::Receiver<Endpoints>,
        before: &[Arc<Instance<C>>],
        address: fn(&Endpoint) -> SocketAddr,
        new: impl Fn(SocketAddr) -> Instance<C>,
    ) -> Self {
        let endpoints = Arc::clone(&news.borrow_and_update());
        let instance = |endpoint| {
            let addr = address(endpoint);
            let kept = before.iter().find(|instance| instance.addr == addr);
            kept.map_or_else(|| Arc::new(new(addr)), Arc::clone)
        };
        Self { instances: endpoints.iter().map(instance).collect(), news }
    }

    /// The last set of a sender that is gone is final, and may still be news.
    fn is_old(&self) -> bool {
        self.news.has_changed().unwrap_or_else(|_gone| self.news.borrow().has_changed())
    }
}

/// What `instances` take on average, in nanoseconds.
fn usual<C>(instances: &[Arc<Instance<C>>]) -> Option<u64> {
    let averages: Vec<_> = instances.iter().map(|instance| instance.load.average()).collect();
    averages.iter().sum::<u64>().checked_div(averages.len() as u64)
}

impl<C: Connections> Instance<C> {
    fn new(of: &Arc<Common>, addr: SocketAddr, usual: Option<u64>) -> Self {
        Self {
            common: Arc::clone(of),
            addr,
            connections: C::default(),
            heard: Heard::default(),
            away: Away::default(),
            breaker: CircuitBreaker::new(of.breaker),
            load: Load::new(usual),
        }
    }

    fn is_ailing(&self) -> bool {
        self.away.has_begun() || !self.breaker.is_closed()
    }

    /// Has it looked after from now on.
    fn look_after(&self) {
        self.common.ailing.store(true, Ordering::Relaxed);
    }

    /// Notes that there is a connection.
    fn reached(&self) {
        if let Some(reason) = self.away.end() {
            if reason == Reason::Gone {
                self.load.begun_anew();
            }
            tracing::info!(service = %self.common.service, addr = %self.addr, "an instance is reached again");
        }
    }

    /// Notes that there is no connection, and tells what that says of the instance.
    fn unreached(&self, error: &ConnectError) -> Verdict {
        let (service, addr) = (&self.common.service, self.addr);
        if !error.is_of_instance() {
            tracing::debug!(%service, %addr, error = told(error), "an instance is not waited for");
            return Verdict::Nothing;
        }
        let reason = if error.is_refused() { Reason::Gone } else { Reason::Unreached };
        let is_news = self.away.begin(reason);
        self.look_after();
        if is_news {
            tracing::warn!(%service, %addr, error = told(error), "an instance is not reached");
        } else {
            tracing::debug!(%service, %addr, error = told(error), "an instance is still not reached");
        }
        if error.is_of_haste() { Verdict::Nothing } else { Verdict::Failure }
    }
}

/// Draws that need not be secret, for which a lock would be too dear (SplitMix64, of Steele, Lea and Flood).
#[derive(Debug)]
struct Lots(AtomicU64);

impl Lots {
    fn new(random: &Random) -> Self {
        Self(AtomicU64::new(u64::from_le_bytes(random.bytes())))
    }

    /// Two numbers below `bound`, which differ where they can.
    fn two(&self, bound: usize) -> (usize, usize) {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut drawn = self.0.fetch_add(GOLDEN, Ordering::Relaxed).wrapping_add(GOLDEN);
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        drawn ^= drawn >> 31;
        let one = below(drawn >> 32, bound);
        let other = below(drawn & u64::from(u32::MAX), bound.saturating_sub(1));
        (one, if bound > 1 { (one + 1 + other) % bound } else { one })
    }
}

/// From 32 random bits, without a division (Lemire).
fn below(bits: u64, bound: usize) -> usize {
    ((bits * bound as u64) >> 32) as usize
}
