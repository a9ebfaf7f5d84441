use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use resilience::{Entered, KeyedBulkhead};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use types::Network;

use super::Limits;

/// How many connections a listener has at once, in all and of strangers from one network. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    connections: usize,
    free: Arc<Semaphore>,
    strangers: KeyedBulkhead<Network>,
}

/// A place for one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    stranger: Mutex<Option<Entered<Network>>>,
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    pub(super) fn new(limits: &Limits) -> Self {
        let Limits { connections, per_address, .. } = *limits;
        let free = Arc::new(Semaphore::new(connections));
        Self { connections, free, strangers: KeyedBulkhead::new(per_address) }
    }

    /// A place for a connection from `addr`, where there is one.
    pub(super) fn take(&self, addr: IpAddr) -> Option<Slot> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        let stranger = self.strangers.enter(&Network::of(addr))?;
        Some(Slot { stranger: Mutex::new(Some(stranger)), _permit: permit })
    }

    /// Waits until all places are free.
    pub(super) async fn all_free(&self) {
        let all = u32::try_from(self.connections).unwrap_or(u32::MAX);
        drop(self.free.acquire_many(all).await);
    }
}

impl Slot {
    /// The other end has shown who it is, and counts as a stranger of its network no more.
    pub(super) fn identified(&self) {
        drop(self.stranger.lock().unwrap_or_else(PoisonError::into_inner).take());
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
