//! Certificates for services that run as processes of their own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use runtime::Clock;
use service_auth::Identity;

use crate::program::{flotilla, told};
use crate::together::Running;

fn issued(dir: &Path) -> Identity {
    let file = |name| dir.join(name);
    Identity::load(&file("tls.crt"), &file("tls.key"), &file("ca.crt"), &Clock::system()).unwrap()
}

#[tokio::test]
async fn a_service_gets_a_certificate_that_the_platform_believes() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path()).await;
    let issue = ["issue", "auth-service", "--out", "certs"];
    let (code, stdout, stderr) = told(&mut flotilla(dir.path(), &issue)).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(stdout, @"The certificate of spiffe://flotilla.internal/service/auth-service is in certs, for 90 days.");
    let certs = dir.path().join("certs");
    let identity = issued(&certs);
    assert_eq!(identity.id().as_str(), "spiffe://flotilla.internal/service/auth-service");
    let mode = |name| std::fs::metadata(certs.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(["tls.crt", "tls.key", "ca.crt"].map(mode), [0o644, 0o600, 0o644]);
    let of_the_platform = std::fs::read(dir.path().join("data/operator/ca.pem")).unwrap();
    assert_eq!(std::fs::read(certs.join("ca.crt")).unwrap(), of_the_platform);
    assert_eq!(running.program.code_after("TERM").await, Some(0));
}

#[tokio::test]
async fn the_authority_is_made_where_it_is_missing_and_used_where_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    for (who, id) in [("operator", "operator"), ("user-service", "service/user-service")] {
        let issue = ["issue", who, "--out", who, "--data-dir", "elsewhere"];
        assert_eq!(told(&mut flotilla(dir.path(), &issue)).await.0, Some(0));
        let identity = issued(&dir.path().join(who));
        assert_eq!(identity.id().as_str(), format!("spiffe://flotilla.internal/{id}"));
    }
    let roots = |who: &str| std::fs::read(dir.path().join(who).join("ca.crt")).unwrap();
    assert_eq!(roots("operator"), roots("user-service"));
}

#[tokio::test]
async fn a_certificate_takes_the_place_of_an_older_one() {
    let dir = tempfile::tempdir().unwrap();
    // What a crash has left, open to all.
    std::fs::create_dir(dir.path().join("certs")).unwrap();
    std::fs::write(dir.path().join("certs/tls.key.new"), "half a key").unwrap();
    let mut keys = Vec::new();
    for _ in 0..2 {
        let issue = ["issue", "user-service", "--out", "certs"];
        assert_eq!(told(&mut flotilla(dir.path(), &issue)).await.0, Some(0));
        keys.push(std::fs::read(dir.path().join("certs/tls.key")).unwrap());
        let mode = std::fs::metadata(dir.path().join("certs/tls.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_ne!(keys[0], keys[1]);
    assert_eq!(std::fs::read_dir(dir.path().join("certs")).unwrap().count(), 3);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_written_whole_leaves_the_older_one_whole() {
    let dir = tempfile::tempdir().unwrap();
    let certs = dir.path().join("certs");
    let issue = ["issue", "user-service", "--out", "certs"];
    assert_eq!(told(&mut flotilla(dir.path(), &issue)).await.0, Some(0));
    let files = || ["tls.crt", "tls.key", "ca.crt"].map(|name| std::fs::read(certs.join(name)).unwrap());
    let before = files();
    std::fs::create_dir(certs.join("tls.key.new")).unwrap();
    let (code, _, text) = told(&mut flotilla(dir.path(), &issue)).await;
    assert_eq!(code, Some(69));
    // The reason is worded by the operating system, and not alike by all.
    assert!(text.starts_with("flotilla: writing certs/tls.key.new: "), "{text}");
    assert_eq!(files(), before);
    assert!(!certs.join("tls.crt.new").exists());
    issued(&certs);
}

#[tokio::test]
async fn what_cannot_be_issued_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, text) = told(&mut flotilla(dir.path(), &["issue", "User_Service", "--out", "certs"])).await;
    assert_eq!(code, Some(64));
    assert!(text.contains("'User_Service' for '<SERVICE>': must be 1 to 63 lower-case letters"), "{text}");
    let (code, _, text) = told(&mut flotilla(dir.path(), &["issue", "user-service"])).await;
    assert_eq!(code, Some(64));
    assert!(text.contains("--out <DIR>"), "{text}");
    std::fs::write(dir.path().join("certs"), "a file").unwrap();
    let (code, _, text) = told(&mut flotilla(dir.path(), &["issue", "user-service", "--out", "certs"])).await;
    assert_eq!(code, Some(69));
    insta::assert_snapshot!(text, @"flotilla: writing certs: File exists (os error 17)");
}
