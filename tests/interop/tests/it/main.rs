//! The user service as clients see it that are not ours.
#![cfg(test)]

mod grpc_js;
