use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;

use service_auth::{Alpn, CaError, Identity, LocalCa, SpiffeId, TrustDomain};
use types::ServiceName;

use crate::authority::{HOUR, Hands};
use crate::ends;

fn id(name: &'static str) -> SpiffeId {
    SpiffeId::service(&TrustDomain::default(), &ServiceName::new(name))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn workloads_of_one_authority_trust_each_other_also_after_a_restart() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::default().clock());
    let identity = |name| {
        let ca = LocalCa::open(&dir.path().join("ca"), &clock).unwrap();
        let pem = ca.issue(&id(name), LocalCa::LEAF_VALIDITY).unwrap();
        Identity::from_pem(&pem, ca.roots_pem(), &clock).unwrap()
    };
    let (caller, callee) = (identity("order-service"), identity("user-service"));
    let (one, other) = ends::pipe();
    let (caller, called) = (caller, callee.id());
    let (connected, accepted) =
        tokio::join!(caller.connect(one, &called, Alpn::H2), callee.accept(other, Alpn::H2));
    assert_eq!(connected.unwrap().peer, id("user-service"));
    assert_eq!(accepted.unwrap().peer, id("order-service"));
}

#[test]
fn the_key_is_for_its_owner_alone() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::default().clock());
    let dir = dir.path().join("deep/ca");
    let ca = LocalCa::open(&dir, &clock).unwrap();
    assert_eq!((mode(&dir), mode(&dir.join("authority.pem"))), (0o700, 0o600));
    assert!(ca.roots_pem().contains("BEGIN CERTIFICATE") && !ca.roots_pem().contains("PRIVATE"));
}

#[test]
fn a_key_that_others_may_have_read_is_not_used() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::default().clock());
    LocalCa::open(dir.path(), &clock).unwrap();
    let file = dir.path().join("authority.pem");
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let refused = LocalCa::open(dir.path(), &clock).unwrap_err();
    let said = format!(
        "{} is open to others (mode 640): it must be closed to them (chmod 600), and if anyone may have read it, removed to get a new one",
        file.display()
    );
    assert_eq!(refused.to_string(), said);
}

#[test]
fn a_directory_in_which_others_may_put_a_key_is_not_used() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::default().clock());
    fs::set_permissions(dir.path(), Permissions::from_mode(0o770)).unwrap();
    let refused = LocalCa::open(dir.path(), &clock).unwrap_err();
    assert!(matches!(refused, CaError::Exposed { mode: 0o770, .. }), "{refused:?}");
}

#[test]
fn what_a_crash_left_half_made_is_made_again() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::default().clock());
    fs::write(dir.path().join("authority.pem.unfinished"), "-----BEGIN CERT").unwrap();
    fs::write(dir.path().join("authority.lock"), "").unwrap();
    let made = LocalCa::open(dir.path(), &clock).unwrap();
    let again = LocalCa::open(dir.path(), &clock).unwrap();
    assert_eq!(made.roots_pem(), again.roots_pem());
    assert!(!dir.path().join("authority.pem.unfinished").exists());
    assert_eq!(mode(&dir.path().join("authority.pem")), 0o600);
}

#[test]
fn an_authority_that_is_damaged_is_named_and_not_silently_replaced() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::default().clock());
    let whole = LocalCa::open(dir.path(), &clock).unwrap();
    let file = dir.path().join("authority.pem");
    for text in ["", whole.roots_pem(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        fs::write(&file, text).unwrap();
        let refused = LocalCa::open(dir.path(), &clock).unwrap_err();
        let said = format!("{} is damaged: remove it to get a new authority", file.display());
        assert_eq!(refused.to_string(), said);
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}

#[test]
fn starts_at_the_same_moment_end_with_one_authority() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::default().clock());
    let roots: Vec<_> = thread::scope(|scope| {
        let open = || LocalCa::open(&dir.path().join("ca"), &clock).unwrap().roots_pem().to_owned();
        let starts: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert!(roots.iter().all(|root| *root == roots[0]), "{roots:#?}");
}

#[test]
fn an_authority_is_replaced_well_before_its_end() {
    let (dir, hands) = (tempfile::tempdir().unwrap(), Hands::default());
    let first = LocalCa::open(dir.path(), &hands.clock()).unwrap();
    hands.forward(24 * HOUR * 365 * 8);
    let same = LocalCa::open(dir.path(), &hands.clock()).unwrap();
    assert_eq!(same.roots_pem(), first.roots_pem());
    hands.forward(24 * HOUR * 366);
    let other = LocalCa::open(dir.path(), &hands.clock()).unwrap();
    assert_ne!(other.roots_pem(), first.roots_pem());
}

#[test]
fn no_certificate_outlives_its_authority() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::default().clock());
    let ca = LocalCa::open(dir.path(), &clock).unwrap();
    let pem = ca.issue(&id("user-service"), 24 * HOUR * 365 * 100).unwrap();
    let identity = Identity::from_pem(&pem, ca.roots_pem(), &clock).unwrap();
    assert_eq!(identity.expires_at().to_string(), "2036-07-22T17:20:00.000000Z");
}

#[test]
fn a_certificate_tolerates_a_clock_that_is_some_minutes_late() {
    let (dir, hands) = (tempfile::tempdir().unwrap(), Hands::default());
    let late = hands.clock();
    let late_now = late.now().before(HOUR / 12);
    let ca = LocalCa::open(dir.path(), &hands.clock()).unwrap();
    let pem = ca.issue(&id("user-service"), HOUR).unwrap();
    let late = runtime::Clock::reading(move || late_now);
    assert_eq!(Identity::from_pem(&pem, ca.roots_pem(), &late).unwrap().id(), id("user-service"));
}

#[test]
fn an_id_of_elsewhere_gets_no_certificate() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::default().clock());
    let ca = LocalCa::open(dir.path(), &clock).unwrap();
    for text in ["spiffe://elsewhere/service/user-service", "spiffe://flotilla.internal"] {
        let refused = ca.issue(&text.parse().unwrap(), HOUR).unwrap_err();
        let said = format!("{text} is no workload of the trust domain flotilla.internal");
        assert_eq!(refused.to_string(), said);
    }
}
