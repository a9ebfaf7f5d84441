use std::error::Error as _;
use std::fs;

use secrecy::ExposeSecret as _;
use service_auth::{Alpn, Identity, IdentityError, Pem};

use crate::authority::{Authority, HOUR, Hands, leaf, unsound};
use crate::ends;

const ID: &str = "spiffe://flotilla.internal/service/user-service";

fn error(pem: &Pem, roots: &str) -> String {
    Identity::from_pem(pem, roots, &Hands::default().clock()).unwrap_err().to_string()
}

#[test]
fn a_sound_certificate_is_an_identity() {
    let authority = Authority::new();
    let identity = authority.identity("user-service", &Hands::default().clock());
    assert_eq!(identity.id().as_str(), ID);
    assert_eq!(identity.expires_at().to_string(), "2026-07-25T18:20:00.000000Z");
}

#[test]
fn an_unsound_certificate_is_not_taken_for_ones_own() {
    let authority = Authority::new();
    for (what, pem, expected) in unsound(&authority) {
        // Of another trust domain it would only be somebody else's, whose roots are not these.
        let said = error(&pem, &authority.roots);
        let untrusted = "the certificate in the chain is not in date or not signed by one in the roots";
        match (what, expected) {
            ("of another trust domain", _) => {
                assert!(said.starts_with("a certificate in the roots is"), "{said}");
            }
            ("an authority's", _) => assert!(said.ends_with("may sign others and cannot be a workload's")),
            ("for other purposes", _) => assert!(said.ends_with("serverAuth and clientAuth"), "{said}"),
            (_, "untrusted") => assert_eq!(said, untrusted, "{what}"),
            (_, rule) => assert_eq!(said, format!("a certificate in the chain {rule}"), "{what}"),
        }
    }
}

#[test]
fn parts_that_do_not_fit_are_told_by_their_place() {
    let authority = Authority::new();
    let (pem, other) = (authority.sign(&leaf(&[ID])), authority.sign(&leaf(&[ID])));
    let swapped = Pem { key: other.key, ..pem.clone() };
    assert_eq!(
        error(&swapped, &authority.roots),
        "the key does not belong to the certificate in the chain, or is of an unknown kind"
    );
    let keyless = Pem { key: "".into(), ..pem.clone() };
    assert!(error(&keyless, &authority.roots).starts_with("there is no private key in the key"));
    let empty = Pem { chain: String::new(), ..pem.clone() };
    assert!(error(&empty, &authority.roots).starts_with("there is no certificate in the chain"));
    assert!(error(&pem, "").starts_with("there is no certificate in the roots"));
    assert!(error(&pem, &pem.chain).contains("must be an authority's"));
    let cut = Pem { chain: pem.chain.replace("-----END CERTIFICATE-----", ""), ..pem.clone() };
    assert!(error(&cut, &authority.roots).starts_with("the chain is broken: it must be PEM text"));
}

#[test]
fn files_that_are_wrong_are_named() {
    let authority = Authority::new();
    let clock = Hands::default().clock();
    let dir = tempfile::tempdir().unwrap();
    let [chain, key, roots] = ["tls.crt", "tls.key", "ca.crt"].map(|name| dir.path().join(name));
    let missing = Identity::load(&chain, &key, &roots, &clock).unwrap_err();
    let said = format!("cannot read {}: it must be a PEM file that this process may read", chain.display());
    assert_eq!(missing.to_string(), said);
    assert!(missing.source().is_some());

    let pem = authority.sign(&leaf(&[ID]));
    fs::write(&chain, &pem.chain).unwrap();
    fs::write(&key, &pem.chain).unwrap();
    fs::write(&roots, &authority.roots).unwrap();
    let keyless = Identity::load(&chain, &key, &roots, &clock).unwrap_err();
    assert!(
        keyless.to_string().starts_with(&format!("there is no private key in {}", key.display())),
        "{keyless}"
    );

    fs::write(&key, pem.key.expose_secret()).unwrap();
    assert_eq!(Identity::load(&chain, &key, &roots, &clock).unwrap().id().as_str(), ID);
}

#[tokio::test]
async fn a_replacement_serves_the_next_connection_through_every_clone() {
    let (authority, hands) = (Authority::new(), Hands::default());
    let callee = authority.identity("user-service", &hands.clock());
    let listener = callee.clone();
    hands.forward(HOUR / 2);

    let successor = Authority::new();
    let caller = successor.identity("order-service", &hands.clock());
    let reaches = async || {
        let (one, other) = ends::pipe();
        let id = callee.id();
        let (connected, _) =
            tokio::join!(caller.connect(one, &id, Alpn::H2), listener.accept(other, Alpn::H2));
        connected.is_ok()
    };
    assert!(!reaches().await);
    callee.replace(&successor.sign(&leaf(&[ID])), &successor.roots).unwrap();
    assert!(reaches().await);
}

#[test]
fn a_replacement_that_is_not_sound_or_not_ours_changes_nothing() {
    let authority = Authority::new();
    let identity = authority.identity("user-service", &Hands::default().clock());
    let before = identity.expires_at();
    let other = authority.sign(&leaf(&["spiffe://flotilla.internal/service/order-service"]));
    let refused = identity.replace(&other, &authority.roots).unwrap_err();
    assert!(matches!(refused, IdentityError::OtherWorkload { .. }), "{refused:?}");
    let stranger = Authority::new().sign(&leaf(&[ID]));
    let refused = identity.replace(&stranger, &authority.roots).unwrap_err();
    assert!(matches!(refused, IdentityError::Untrusted { .. }), "{refused:?}");
    assert_eq!((identity.id().as_str(), identity.expires_at()), (ID, before));
}

#[test]
fn a_key_is_never_printed() {
    let pem = Authority::new().sign(&leaf(&[ID]));
    let key = pem.key.expose_secret().lines().nth(1).unwrap();
    assert!(!format!("{pem:?}").contains(key));
}
