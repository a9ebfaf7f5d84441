//! What `build.rs` makes; its docs are the comments of the contracts.
#![expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "this is how tonic's generator writes"
)]

/// The user service's public contract.
pub mod userservice {
    include!(concat!(env!("OUT_DIR"), "/userservice.rs"));
}

/// The platform's internal contracts.
pub mod flotilla {
    /// Access tokens, their keys and their revocation.
    pub mod auth {
        /// The first version.
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/flotilla.auth.v1.rs"));
        }
    }
    /// What every service answers to operators.
    pub mod operations {
        /// The first version.
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/flotilla.operations.v1.rs"));
        }
    }
    /// Accounts and credentials.
    pub mod users {
        /// The first version.
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/flotilla.users.v1.rs"));
        }
    }
}
