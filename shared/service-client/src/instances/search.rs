use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use resilience::Open;
use runtime::Deadline;
use tokio::time::Instant;

use super::{Connections, Instance, Instances, Known, Sending};
use crate::callee::Came;
use crate::dialer::Dialer;
use crate::told::Refusal;
use crate::witness::Watch;
use crate::{ConnectError, SendError};

/// One request's way to an instance.
pub(crate) struct Search<'a, C> {
    instances: &'a Instances<C>,
    known: Arc<Known<C>>,
    tried: Vec<SocketAddr>,
    /// Whether nothing has been tried: whoever has failed once is spared the trial of an instance that may not be well.
    is_fresh: bool,
    error: Option<Arc<ConnectError>>,
    watch: Watch,
}

/// No instance can be sent to now.
#[derive(Debug)]
pub(crate) enum Nowhere<C> {
    /// These could, but are full.
    Full(Vec<Arc<Instance<C>>>),
    /// There is none to wait for.
    Error(SendError),
}

type Found<C, P> = Result<(Sending<C>, P), Nowhere<C>>;

impl<'a, C: Connections> Search<'a, C> {
    pub(super) fn new(instances: &'a Instances<C>, watch: Watch) -> Self {
        Self { instances, known: instances.known(), tried: Vec::new(), is_fresh: true, error: None, watch }
    }

    /// An instance to try, other than those that have been tried.
    pub(crate) fn next(&self) -> Result<Sending<C>, SendError> {
        self.next_with(|_| Some(())).map(|(sending, ())| sending).map_err(|nowhere| match nowhere {
            Nowhere::Error(error) => error,
            Nowhere::Full(_) => unreachable!("every instance has a place that is nothing"),
        })
    }

    /// As [`next`](Self::next), of the instances that have a `place` now. One that lets us in when it has a place again
    /// comes before those that do not.
    pub(crate) fn next_with<P>(&self, place: impl Fn(&C) -> Option<P>) -> Found<C, P> {
        let found = self.trial(&place).or_else(|| self.one_of_two(&place));
        found.map_or_else(|| self.any(&place), Ok)
    }

    /// One that is left out otherwise, if it is time to find out whether it is well. Those that are not connected to are
    /// in the background first.
    fn trial<P>(&self, place: &impl Fn(&C) -> Option<P>) -> Option<(Sending<C>, P)> {
        let hint = &self.instances.common.ailing;
        if !hint.load(Ordering::Relaxed) || !hint.swap(false, Ordering::Relaxed) {
            return None;
        }
        let instances = &self.known.instances;
        let ailing = || instances.iter().filter(|instance| instance.is_ailing());
        let count = ailing().count();
        if count > 0 {
            hint.store(true, Ordering::Relaxed);
        }
        if count == instances.len() {
            // Whoever has nobody else to go to connects by itself.
            return None;
        }
        let mut due = ailing().filter(|instance| self.is_untried(instance) && instance.breaker.would_enter());
        due.find_map(|instance| {
            if !instance.connections.is_connected() {
                if instance.away.is_due() {
                    self.instances.reconnect.begin(instance);
                }
                return None;
            }
            let place = place(&instance.connections).filter(|_| self.is_fresh)?;
            Some((self.enter(instance)?, place))
        })
    }

    /// The cheaper of two that are drawn by lot, if both will do.
    fn one_of_two<P>(&self, place: &impl Fn(&C) -> Option<P>) -> Option<(Sending<C>, P)> {
        let instances = &self.known.instances;
        let (one, other) = self.instances.lots.two(instances.len());
        let (one, other) = (instances.get(one)?, instances.get(other)?);
        let will_do = |instance: &Instance<C>| self.is_untried(instance) && self.is_well(instance);
        let now = Instant::now();
        let cheaper = match (will_do(one), will_do(other)) {
            (true, true) if other.load.cost(now) < one.load.cost(now) => other,
            (true, _) => one,
            (false, true) => other,
            (false, false) => return None,
        };
        let place = place(&cheaper.connections)?;
        Some((self.enter_at(cheaper, now)?, place))
    }

    /// The first that will do; where there is none, one that does not let us in as far as is known.
    fn any<P>(&self, place: &impl Fn(&C) -> Option<P>) -> Found<C, P> {
        let instances = &self.known.instances;
        let begin = self.instances.lots.two(instances.len()).0;
        let (mut away, mut full) = (None, Vec::new());
        let in_turn = instances[begin..].iter().chain(&instances[..begin]);
        for instance in in_turn.filter(|instance| self.is_untried(instance)) {
            if !instance.breaker.would_enter() {
                continue;
            }
            match place(&instance.connections) {
                None => full.push(Arc::clone(instance)),
                Some(place) if self.is_well(instance) => {
                    if let Some(sending) = self.enter(instance) {
                        return Ok((sending, place));
                    }
                }
                Some(place) => away = away.or(Some((instance, place))),
            }
        }
        if full.iter().all(|instance| instance.away.has_begun())
            && let Some((instance, place)) = away
            && let Some(sending) = self.enter(instance)
        {
            return Ok((sending, place));
        }
        if full.is_empty() { Err(Nowhere::Error(self.nobody())) } else { Err(Nowhere::Full(full)) }
    }

    /// Takes an instance that had no place before.
    pub(crate) fn enter(&self, instance: &Arc<Instance<C>>) -> Option<Sending<C>> {
        self.enter_at(instance, Instant::now())
    }

    fn enter_at(&self, instance: &Arc<Instance<C>>, now: Instant) -> Option<Sending<C>> {
        let permit = instance.breaker.try_enter().ok()?;
        Some(Sending::begin(instance, permit, now, &self.watch))
    }

    /// Whether an instance is neither away nor has an open breaker; if so, it is looked after from now on.
    fn is_well(&self, instance: &Instance<C>) -> bool {
        let is_ailing = instance.is_ailing();
        if is_ailing {
            instance.look_after();
        }
        !is_ailing
    }

    fn is_untried(&self, instance: &Instance<C>) -> bool {
        !self.tried.contains(&instance.addr)
    }

    /// How long to connect to an instance, and until when to wait for the turn to do so where others connect already.
    /// For its turn at the last that is left a request waits as long as there is time.
    pub(crate) fn patience(&self, deadline: Deadline) -> (Duration, Deadline) {
        let has_others = self.has_others();
        let patience = Dialer::patience(deadline, has_others);
        (patience, if has_others { deadline.at_most(patience) } else { deadline })
    }

    /// Whether there is any instance left besides the one that is being tried.
    pub(crate) fn has_others(&self) -> bool {
        self.tried.len() + 1 < self.known.instances.len()
    }

    /// Notes that there is no connection to the instance of `sending`.
    pub(crate) fn unreached(&mut self, sending: Sending<C>, error: Arc<ConnectError>) {
        self.is_fresh = false;
        self.tried.push(sending.instance.addr);
        sending.unreached(&error);
        self.error = Some(error);
        // While it was tried, others may have come.
        self.known = self.instances.known();
    }

    /// Has another instance tried next than that of `addr`, in the set as it is then; whether there is one.
    pub(crate) fn elsewhere(&mut self, addr: SocketAddr) -> bool {
        self.is_fresh = false;
        self.tried.push(addr);
        self.known = self.instances.known();
        self.error = None;
        let is_one = self.known.instances.iter().any(|instance| self.is_untried(instance));
        if !is_one {
            self.tried.clear();
        }
        is_one
    }

    /// As [`elsewhere`](Self::elsewhere), after the connection to an instance ended before the request was on it. So it
    /// does when an instance takes its leave in order; whoever has none that lasts does not.
    pub(crate) fn unsent(&mut self, sending: Sending<C>, is_last: bool) {
        self.elsewhere(sending.instance.addr);
        if is_last {
            sending.failed();
        } else {
            sending.unsent();
        }
    }

    /// Whether an instance is well that has not been tried, besides that of `addr`.
    pub(crate) fn has_well_other(&self, addr: SocketAddr) -> bool {
        let untried = self.known.instances.iter().filter(|instance| self.is_untried(instance));
        untried.filter(|instance| instance.addr != addr).any(|instance| self.is_well(instance))
    }

    /// Whether any other instance has answered since that of `sending` was asked.
    pub(crate) fn others_answer(&self, sending: &Sending<C>) -> bool {
        let (addr, began) = (sending.instance.addr, sending.began());
        let mut others = self.known.instances.iter().filter(|instance| instance.addr != addr);
        others.any(|instance| !instance.heard.nothing_since(began))
    }

    /// Has another instance tried next, by what `came` from that of `addr`.
    pub(crate) fn after<T>(&mut self, addr: SocketAddr, came: Came<T>) -> Came<T> {
        match came {
            Came::Refusal(answer, refusal) => Came::Refusal(answer, self.after_refusal(addr, refusal)),
            Came::Failure(error) if error.is_of_an_instance() => {
                self.elsewhere(addr);
                Came::Failure(error)
            }
            came => came,
        }
    }

    /// As [`elsewhere`](Self::elsewhere), after what the instance of `addr` has answered.
    fn after_refusal(&mut self, addr: SocketAddr, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::Passing(_) if self.elsewhere(addr) => Refusal::Elsewhere,
            Refusal::Doubtful(_) if self.elsewhere(addr) => Refusal::Doubtful(Duration::ZERO),
            refusal => refusal,
        }
    }

    /// That no instance is left.
    pub(super) fn nobody(&self) -> SendError {
        let service = self.instances.common.service.clone();
        if let Some(error) = &self.error {
            return SendError::Unreached { service, source: Arc::clone(error) };
        }
        if self.known.instances.is_empty() {
            return SendError::Nobody(service);
        }
        let open = self.known.instances.iter().filter_map(|instance| instance.breaker.open());
        let soonest = open.min_by_key(|open| open.retry_after);
        // One whose breaker has closed just now is to be asked at once.
        SendError::Open { service, source: soonest.unwrap_or(Open { retry_after: Duration::ZERO }) }
    }
}
