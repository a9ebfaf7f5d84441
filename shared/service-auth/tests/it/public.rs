//! The front door: a certificate for everybody, and none asked for.

use std::fs;
use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use secrecy::ExposeSecret as _;
use service_auth::{Pem, Protocol, PublicTls};
use tokio_rustls::TlsConnector;

use crate::authority::{Authority, HOUR, Hands, leaf};
use crate::ends;

fn site(authority: &Authority) -> Pem {
    authority.sign(&leaf(&[]))
}

/// What is agreed with a client that shows nothing and offers `protocols`, and the certificate that it is shown.
async fn shake(
    tls: &PublicTls,
    version: &'static SupportedProtocolVersion,
    protocols: &[&[u8]],
) -> (Protocol, Vec<u8>) {
    let (one, other) = ends::pipe();
    let mut config = ends::client(None, version);
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let connector = TlsConnector::from(Arc::new(config));
    let name = "shop.example".try_into().unwrap();
    let (accepted, client) = tokio::join!(tls.accept(other), connector.connect(name, one));
    let shown = client.unwrap().get_ref().1.peer_certificates().unwrap()[0].to_vec();
    (accepted.unwrap().1, shown)
}

#[tokio::test]
async fn a_client_without_a_certificate_chooses_among_the_versions_of_http_and_tls() {
    let tls = PublicTls::from_pem(&site(&Authority::new()), &Hands::default().clock()).unwrap();
    for version in [&TLS12, &TLS13] {
        let offers: [(&[&[u8]], Protocol); 3] = [
            (&[b"h2", b"http/1.1"], Protocol::H2),
            (&[b"http/1.1"], Protocol::Http1),
            (&[], Protocol::Http1),
        ];
        for (offered, expected) in offers {
            assert_eq!(shake(&tls, version, offered).await.0, expected, "{offered:?}");
        }
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_from_now_on_and_an_unsound_one_never() {
    let (authority, hands, dir) = (Authority::new(), Hands::default(), tempfile::tempdir().unwrap());
    let (chain, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    let write = |pem: &Pem| {
        fs::write(&chain, &pem.chain).unwrap();
        fs::write(&key, pem.key.expose_secret()).unwrap();
    };
    write(&site(&authority));
    let tls = PublicTls::load(&chain, &key, &hands.clock()).unwrap();
    let (_, first) = shake(&tls, &TLS13, &[]).await;

    fs::write(&key, site(&authority).key.expose_secret()).unwrap();
    let refused = tls.reload(&chain, &key).unwrap_err().to_string();
    assert!(refused.contains("does not belong to the certificate"), "{refused}");
    assert_eq!(shake(&tls, &TLS13, &[]).await.1, first);

    write(&site(&authority));
    tls.reload(&chain, &key).unwrap();
    assert_ne!(shake(&tls, &TLS13, &[]).await.1, first);

    hands.forward(2 * HOUR);
    let refused = PublicTls::load(&chain, &key, &hands.clock()).unwrap_err().to_string();
    assert!(refused.ends_with("until 2026-07-25T18:20:00.000000Z: it must hold now"), "{refused}");
}
