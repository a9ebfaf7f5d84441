use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use types::Network;

use super::Limits;

/// How many connections a listener has at once, in all and of strangers from one network. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    free: Arc<Semaphore>,
    limits: Limits,
    // Of strangers; as many entries as there are connections, at the most.
    taken: Mutex<HashMap<Network, usize>>,
}

/// A place for one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    network: Network,
    is_strangers: AtomicBool,
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    pub(super) fn new(limits: &Limits) -> Self {
        let free = Arc::new(Semaphore::new(limits.connections));
        Self(Arc::new(Shared { free, limits: *limits, taken: Mutex::default() }))
    }

    /// A place for a connection from `addr`, where there is one.
    pub(super) fn take(&self, addr: IpAddr) -> Option<Slot> {
        let permit = Arc::clone(&self.0.free).try_acquire_owned().ok()?;
        let network = Network::of(addr);
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.get(&network).copied().unwrap_or(0);
        if count >= self.0.limits.per_address {
            return None;
        }
        taken.insert(network, count + 1);
        Some(Slot { slots: self.clone(), network, is_strangers: AtomicBool::new(true), _permit: permit })
    }

    /// Waits until all places are free.
    pub(super) async fn all_free(&self) {
        let all = u32::try_from(self.0.limits.connections).unwrap_or(u32::MAX);
        drop(self.0.free.acquire_many(all).await);
    }
}

impl Slot {
    /// The other end has shown who it is, and counts as a stranger of its network no more.
    pub(super) fn identified(&self) {
        if !self.is_strangers.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut taken = self.slots.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.network)),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.identified();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_client_can_have_of_addresses_is_counted_as_one() {
        let slots = Slots::new(&Limits { per_address: 1, ..Limits::default() });
        let take = |address: &str| slots.take(address.parse().unwrap());
        let kept = ["2001:db8:1:2::1", "192.0.2.7"].map(|address| take(address).unwrap());
        for another in ["2001:db8:1:2:3:4:5:6", "::ffff:192.0.2.7"] {
            assert!(take(another).is_none(), "{another}");
        }
        let others = ["2001:db8:1:3::1", "192.0.2.8"].map(|address| take(address).unwrap());
        drop((kept, others));
        assert!(take("2001:db8:1:2::2").is_some());
    }
}
