//! Turns the contracts into code, without `protoc`.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message as _;
use prost_types::method_options::IdempotencyLevel;
use prost_types::{FileDescriptorSet, MethodDescriptorProto, MethodOptions};

const ROOT: &str = "proto";

const CONTRACTS: [&str; 4] = [
    "userservice/userservice.proto",
    "flotilla/users/v1/accounts.proto",
    "flotilla/auth/v1/auth.proto",
    "flotilla/operations/v1/operations.proto",
];

/// Messages that carry a password; `src/redacted.rs` says how they are printed.
const SECRET: [&str; 3] = [
    ".userservice.CreateUserRequest",
    ".flotilla.users.v1.VerifyCredentialsRequest",
    ".flotilla.users.v1.ChangePasswordRequest",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={ROOT}");
    let descriptors = protox::compile(CONTRACTS, [ROOT])?;
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo tells a build script where to write by its environment"
    )]
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    let levels = [
        ("without_effect.rs", IdempotencyLevel::NoSideEffects),
        ("idempotent.rs", IdempotencyLevel::Idempotent),
    ];
    for (file, level) in levels {
        fs::write(out.join(file), format!("[{}]", methods_of(&descriptors, level).join(", ")))?;
    }
    tonic_prost_build::configure()
        // Without it a client cannot dial by itself, past mTLS.
        .build_transport(false)
        .skip_debug(SECRET)
        .compile_fds(descriptors)?;
    Ok(())
}

/// The paths, in quotes, of the methods to which the contract gives this `level`.
fn methods_of(descriptors: &FileDescriptorSet, level: IdempotencyLevel) -> Vec<String> {
    let mut paths = Vec::new();
    for file in &descriptors.file {
        for service in &file.service {
            let methods = service.method.iter().filter(|method| {
                method.options.as_ref().map(MethodOptions::idempotency_level) == Some(level)
            });
            let path = |method: &MethodDescriptorProto| {
                format!("{:?}", format!("/{}.{}/{}", file.package(), service.name(), method.name()))
            };
            paths.extend(methods.map(path));
        }
    }
    paths.sort_unstable();
    paths
}
