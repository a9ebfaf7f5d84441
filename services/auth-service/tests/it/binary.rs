//! The service's own binary, as a container starts it.

use std::process::Stdio;

use tokio::process::Command;

#[tokio::test]
async fn without_what_it_needs_it_says_what_that_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_auth-service"));
    command.env_clear().current_dir(dir.path()).stdin(Stdio::null()).kill_on_drop(true);
    let told = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(64), "{text}");
    for needed in ["DATABASE_URL", "SIGNING_KEY_SECRET", "SERVICES_STATIC", "TLS_CERT_FILE"] {
        assert!(text.contains(needed), "{needed}: {text}");
    }
}
