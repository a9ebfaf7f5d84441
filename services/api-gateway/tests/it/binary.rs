//! The gateway's own binary, as a container starts it.

use std::process::Command;

#[test]
fn all_that_is_wrong_with_its_settings_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_api-gateway"))
        .env_clear()
        .current_dir(dir.path())
        .envs([("PUBLIC_BIND_ADDRESS", "0.0.0.0"), ("ROUTES", "/users user"), ("HTTP_PORT", "80")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @r#"
    api-gateway: 7 settings are wrong:
      TLS_CERT_FILE: not set, must be a PEM file with the service's certificate and its chain
      TLS_KEY_FILE: not set, must be a PEM file with the certificate's key
      TLS_CA_FILE: not set, must be a PEM file with the authorities that vouch for other services
      SERVICES_STATIC: not set, must be the instances of the other services with commas between them, each SERVICE=IP or SERVICE=IP:HTTP_PORT:GRPC_PORT, or else SERVICES_DNS or CONSUL_HOST
      PUBLIC_TLS_CERT_FILE: not set, must be a PEM file with the certificate for the public and its chain, because PUBLIC_BIND_ADDRESS is not loopback, unless PUBLIC_TLS is terminated
      PUBLIC_TLS_KEY_FILE: not set, must be a PEM file with the key of PUBLIC_TLS_CERT_FILE
      ROUTES (environment): must be PREFIX ACCESS SERVICE and what is special about it, such as /orders user order-service timeout=5s body=64KiB attempts=2 at-once=100 keyed, not "/users user"
    "#);
}
