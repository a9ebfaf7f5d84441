use types::Id;
use uuid::Uuid;

use crate::{Clock, Random};

/// New identities: UUIDv7 (RFC 9562), which sort by the millisecond of their making, so that rows written
/// together lie together in an index.
#[derive(Clone, Debug)]
pub struct Ids {
    clock: Clock,
    random: Random,
}

impl Ids {
    pub(crate) fn new(clock: Clock, random: Random) -> Self {
        Self { clock, random }
    }

    /// A new UUID.
    pub fn uuid(&self) -> Uuid {
        let millis = u64::try_from(self.clock.now().millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &self.random.bytes()).into_uuid()
    }

    /// A new typed id.
    pub fn next<T>(&self) -> Id<T> {
        Id::from_uuid(self.uuid())
    }
}

#[cfg(test)]
mod tests {
    use types::Timestamp;

    use super::*;

    #[test]
    fn an_id_carries_the_time_of_its_making_and_differs_from_the_next() {
        let clock = Clock::reading(|| Timestamp::from_micros(1_785_000_000_123_999));
        let ids = Ids::new(clock, Random::seeded(1));
        let (one, other) = (ids.uuid(), ids.uuid());
        assert_ne!(one, other);
        assert_eq!(one.get_version_num(), 7);
        assert_eq!(one.get_timestamp().map(|at| at.to_unix()), Some((1_785_000_000, 123_000_000)));
    }
}
