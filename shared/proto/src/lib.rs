//! The contracts between the services: the code made from `proto/`, and the one translation between
//! [`types::ErrorClass`] and gRPC's status.

mod generated;
mod redacted;
mod repeatable;
pub mod status;

pub use generated::{flotilla, userservice};
pub use repeatable::Repeatable;

/// Every contract of this crate as a `google.protobuf.FileDescriptorSet`, for gRPC server reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
