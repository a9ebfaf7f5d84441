//! The SQL of sessions, revocations and signing keys, and nothing else.

#[cfg(test)]
pub(crate) mod fixture;
mod keys;
mod revocations;
mod sessions;
mod sweeping;
#[cfg(test)]
mod tests;

pub(crate) use self::keys::{GENERATION_IS_TAKEN, delete_key, insert_key, keys};
pub(crate) use self::revocations::{recorded_since, revoke_user};
pub(crate) use self::sessions::{
    Ending, Renewed, begin, end_older, end_own, end_session, is_known, is_live, least_version, live,
    presented, raise, rotate, rotate_again,
};
pub(crate) use self::sweeping::{Sweep, has_more, sweep};
