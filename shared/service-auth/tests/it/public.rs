//! The front door: a certificate for everybody, and none asked for.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, SupportedProtocolVersion};
use secrecy::ExposeSecret as _;
use service_auth::{Pem, Protocol, PublicTls};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use crate::authority::{Authority, HOUR, Hands, leaf};
use crate::ends;

fn site(authority: &Authority) -> Pem {
    authority.sign(&leaf(&[]))
}

/// A certificate and key in files.
struct Files {
    _dir: TempDir,
    chain: PathBuf,
    key: PathBuf,
}

impl Files {
    fn of(pem: &Pem) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = Self { chain: dir.path().join("tls.crt"), key: dir.path().join("tls.key"), _dir: dir };
        files.write(pem);
        files
    }

    fn write(&self, pem: &Pem) {
        fs::write(&self.chain, &pem.chain).unwrap();
        fs::write(&self.key, pem.key.expose_secret()).unwrap();
    }
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
    let (authority, hands) = (Authority::new(), Hands::default());
    let files = Files::of(&site(&authority));
    let Files { chain, key, .. } = &files;
    let tls = PublicTls::load(chain, key, &hands.clock()).unwrap();
    let (_, first) = shake(&tls, &TLS13, &[]).await;

    fs::write(key, site(&authority).key.expose_secret()).unwrap();
    let refused = tls.reload(chain, key).unwrap_err().to_string();
    assert!(refused.contains("does not belong to the certificate"), "{refused}");
    assert_eq!(shake(&tls, &TLS13, &[]).await.1, first);

    files.write(&site(&authority));
    tls.reload(chain, key).unwrap();
    assert_ne!(shake(&tls, &TLS13, &[]).await.1, first);

    hands.forward(2 * HOUR);
    let refused = PublicTls::load(chain, key, &hands.clock()).unwrap_err().to_string();
    assert!(refused.ends_with("until 2026-07-25T18:20:00.000000Z: it must hold now"), "{refused}");
}

/// How a client that has been here before comes in.
async fn returns(tls: &PublicTls, config: &Arc<ClientConfig>) -> Option<HandshakeKind> {
    let (one, other) = ends::pipe();
    let connector = TlsConnector::from(Arc::clone(config));
    let name = "shop.example".try_into().unwrap();
    let (accepted, client) = tokio::join!(tls.accept(other), connector.connect(name, one));
    let (mut server, mut client) = (accepted.unwrap().0, client.unwrap());
    // What lets it come back is before the first byte.
    server.write_all(b"tea").await.unwrap();
    client.read_exact(&mut [0; 3]).await.unwrap();
    client.get_ref().1.handshake_kind()
}

#[tokio::test]
async fn a_client_resumes_its_session_until_there_is_a_new_certificate() {
    let authority = Authority::new();
    let files = Files::of(&site(&authority));
    let tls = PublicTls::load(&files.chain, &files.key, &Hands::default().clock()).unwrap();
    let mut config = ends::client(None, &TLS13);
    config.alpn_protocols.clear();
    let config = Arc::new(config);
    assert_eq!(returns(&tls, &config).await, Some(HandshakeKind::Full));
    tls.reload(&files.chain, &files.key).unwrap();
    assert_eq!(returns(&tls, &config).await, Some(HandshakeKind::Resumed));

    files.write(&site(&authority));
    tls.reload(&files.chain, &files.key).unwrap();
    assert_eq!(returns(&tls, &config).await, Some(HandshakeKind::Full));
}
