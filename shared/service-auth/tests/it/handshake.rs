use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, ClientConfig, HandshakeKind, PeerIncompatible};
use service_auth::{Alpn, Identity, Pem, Protocol, Secured, SpiffeId, SvidError, TlsError, TrustDomain};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use types::{Classify as _, ErrorClass, ServiceName};

use crate::authority::{Authority, HOUR, Hands, leaf, unsound};
use crate::ends;

fn id(name: &'static str) -> SpiffeId {
    SpiffeId::service(&TrustDomain::default(), &ServiceName::new(name))
}

/// Both ends of a handshake between two of ours.
async fn handshake(
    caller: &Identity,
    expected: &SpiffeId,
    callee: &Identity,
    offers: (Alpn, Alpn),
) -> (Result<Secured, TlsError>, Result<Secured, TlsError>) {
    let (one, other) = ends::pipe();
    tokio::join!(caller.connect(one, expected, offers.0), callee.accept(other, offers.1))
}

/// What our server makes of a client that is not ours, and what is left of the client.
async fn accept_stranger(
    callee: &Identity,
    config: ClientConfig,
) -> (Result<Secured, TlsError>, Option<TlsStream<runtime::Io>>) {
    let (one, other) = ends::pipe();
    let connector = TlsConnector::from(Arc::new(config));
    let name = "user-service".try_into().unwrap();
    let (accepted, client) =
        tokio::join!(callee.accept(other, Alpn::H2), async { connector.connect(name, one).await.ok() });
    (accepted, client)
}

/// How a refusal is told: by the rule that is broken, or by the reason where it is not one of ours.
fn told(error: &TlsError) -> String {
    match error {
        TlsError::Identity(rule) => rule.to_string(),
        other => other.reason().to_owned(),
    }
}

#[tokio::test]
async fn two_workloads_know_each_other_and_what_they_speak() {
    let (authority, clock) = (Authority::new(), Hands::default().clock());
    let (caller, callee) =
        (authority.identity("order-service", &clock), authority.identity("user-service", &clock));
    let (connected, accepted) =
        handshake(&caller, &id("user-service"), &callee, (Alpn::H2, Alpn::H2OrHttp1)).await;
    let (mut connected, mut accepted) = (connected.unwrap(), accepted.unwrap());
    assert_eq!((&connected.peer, connected.protocol), (&id("user-service"), Protocol::H2));
    assert_eq!((&accepted.peer, accepted.protocol), (&id("order-service"), Protocol::H2));

    connected.io.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    accepted.io.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
}

#[tokio::test]
async fn an_unsound_certificate_lets_no_client_in() {
    let (authority, clock) = (Authority::new(), Hands::default().clock());
    let callee = authority.identity("user-service", &clock);
    for (what, pem, expected) in unsound(&authority) {
        let (accepted, client) = accept_stranger(&callee, ends::client(Some(&pem), &TLS13)).await;
        let error = accepted.expect_err(what);
        assert_eq!(told(&error), expected, "{what}: {error}");
        // TLS 1.3 lets the client believe in the connection until it reads.
        if let Some(mut client) = client {
            assert!(client.read_u8().await.is_err(), "{what}");
        }
    }
}

#[tokio::test]
async fn an_unsound_certificate_is_no_server_to_speak_to() {
    let (authority, clock) = (Authority::new(), Hands::default().clock());
    let caller = authority.identity("order-service", &clock);
    for (what, pem, expected) in unsound(&authority) {
        let (one, other) = ends::pipe();
        let server = TlsAcceptor::from(Arc::new(ends::server(&pem)));
        let user_service = id("user-service");
        let (connected, accepted) =
            tokio::join!(caller.connect(one, &user_service, Alpn::H2), server.accept(other));
        let error = connected.expect_err(what);
        assert_eq!(told(&error), expected, "{what}: {error}");
        assert!(accepted.is_err(), "{what}");
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_not_let_in() {
    let (authority, clock) = (Authority::new(), Hands::default().clock());
    let callee = authority.identity("user-service", &clock);
    let (accepted, client) = accept_stranger(&callee, ends::client(None, &TLS13)).await;
    assert!(matches!(accepted, Err(TlsError::NoCertificate)), "{accepted:?}");
    let refused = client.unwrap().read_u8().await.unwrap_err();
    let told = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
    assert_eq!(refused.get_ref().and_then(|error| error.downcast_ref()), Some(&told));
}

#[tokio::test]
async fn an_older_tls_is_not_spoken() {
    let (authority, clock) = (Authority::new(), Hands::default().clock());
    let callee = authority.identity("user-service", &clock);
    let pem = authority.sign(&leaf(&[id("order-service").as_str()]));
    let (accepted, client) = accept_stranger(&callee, ends::client(Some(&pem), &TLS12)).await;
    let Err(TlsError::Handshake(error)) = accepted else { panic!("{accepted:?}") };
    assert_eq!(error, PeerIncompatible::Tls12NotOfferedOrEnabled.into());
    assert!(client.is_none());
}

#[tokio::test]
async fn what_is_not_tls_is_told_from_a_connection_that_breaks() {
    let (authority, clock) = (Authority::new(), Hands::default().clock());
    let callee = authority.identity("user-service", &clock);

    let (mut plain, io) = ends::pipe();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: user-service\r\n\r\n").await.unwrap();
    let refused = callee.accept(io, Alpn::H2).await.unwrap_err();
    assert!(matches!(refused, TlsError::Handshake(_)), "{refused:?}");

    let (gone, io) = ends::pipe();
    drop(gone);
    let broken = callee.accept(io, Alpn::H2).await.unwrap_err();
    assert!(matches!(broken, TlsError::Io(_)), "{broken:?}");
    assert_eq!(broken.class(), ErrorClass::Unavailable);
}

#[tokio::test]
async fn a_caller_speaks_to_the_one_it_called_and_to_nobody_else() {
    let (authority, clock) = (Authority::new(), Hands::default().clock());
    let (caller, callee) =
        (authority.identity("order-service", &clock), authority.identity("payment-service", &clock));
    let (connected, accepted) = handshake(&caller, &id("user-service"), &callee, (Alpn::H2, Alpn::H2)).await;
    let Err(TlsError::Identity(rule)) = connected else { panic!("{connected:?}") };
    let expected = SvidError::Workload { id: id("payment-service"), expected: id("user-service") };
    assert_eq!(rule, expected);
    assert!(matches!(accepted, Err(TlsError::Refused(_))), "{accepted:?}");
}

#[tokio::test]
async fn http_1_is_spoken_only_where_it_is_offered() {
    let (authority, clock) = (Authority::new(), Hands::default().clock());
    let callee = authority.identity("user-service", &clock);
    let pem = authority.sign(&leaf(&[id("order-service").as_str()]));
    let offers: [(Vec<Vec<u8>>, Alpn, Option<Protocol>); 8] = [
        (vec![b"http/1.1".to_vec()], Alpn::H2OrHttp1, Some(Protocol::Http1)),
        (vec![], Alpn::H2OrHttp1, Some(Protocol::Http1)),
        (vec![b"http/1.1".to_vec()], Alpn::H2, None),
        (vec![], Alpn::H2, None),
        (vec![b"ftp".to_vec()], Alpn::H2OrHttp1, None),
        (vec![b"h2".to_vec(), b"http/1.1".to_vec()], Alpn::Http1, Some(Protocol::Http1)),
        (vec![], Alpn::Http1, Some(Protocol::Http1)),
        (vec![b"h2".to_vec()], Alpn::Http1, None),
    ];
    for (offered, alpn, expected) in offers {
        let (one, other) = ends::pipe();
        let mut config = ends::client(Some(&pem), &TLS13);
        config.alpn_protocols = offered.clone();
        let connector = TlsConnector::from(Arc::new(config));
        let name = "user-service".try_into().unwrap();
        let (accepted, _client) = tokio::join!(callee.accept(other, alpn), connector.connect(name, one));
        match (accepted, expected) {
            (Ok(accepted), Some(protocol)) => assert_eq!(accepted.protocol, protocol),
            (Err(TlsError::NoProtocol), None) => {}
            (accepted, _) => panic!("{offered:?}: {accepted:?}"),
        }
    }
}

#[tokio::test]
async fn a_caller_that_wants_http_1_gets_it_from_a_server_that_prefers_http_2() {
    let (authority, clock) = (Authority::new(), Hands::default().clock());
    let (caller, callee) =
        (authority.identity("api-gateway", &clock), authority.identity("user-service", &clock));
    let offers = (Alpn::Http1, Alpn::H2OrHttp1);
    let (connected, accepted) = handshake(&caller, &id("user-service"), &callee, offers).await;
    assert_eq!((connected.unwrap().protocol, accepted.unwrap().protocol), (Protocol::Http1, Protocol::Http1));
    let offers = (Alpn::Http1, Alpn::H2);
    let (connected, _) = handshake(&caller, &id("user-service"), &callee, offers).await;
    assert!(matches!(connected, Err(TlsError::NoProtocol)), "{connected:?}");
}

#[tokio::test]
async fn no_session_is_resumed_so_that_every_connection_is_checked() {
    let (authority, clock) = (Authority::new(), Hands::default().clock());
    let callee = authority.identity("user-service", &clock);
    let pem: Pem = authority.sign(&leaf(&[id("order-service").as_str()]));
    // The client would resume: both connections share its memory of sessions.
    let config = ends::client(Some(&pem), &TLS13);
    for _ in 0..2 {
        let (accepted, client) = accept_stranger(&callee, config.clone()).await;
        let (mut accepted, mut client) = (accepted.unwrap(), client.unwrap());
        assert_eq!(accepted.peer, id("order-service"));
        // Tickets would come before the first byte.
        accepted.io.write_all(b"x").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'x');
        let (_, connection) = client.get_ref();
        assert_ne!(connection.handshake_kind(), Some(HandshakeKind::Resumed));
        assert_eq!(connection.tls13_tickets_received(), 0);
    }
}

#[tokio::test]
async fn a_certificate_counts_by_our_clock_at_the_time_of_the_handshake() {
    let (authority, hands) = (Authority::new(), Hands::default());
    let (caller, callee) = (
        authority.identity("order-service", &hands.clock()),
        authority.identity("user-service", &hands.clock()),
    );
    let offers = (Alpn::H2, Alpn::H2);
    let (connected, _) = handshake(&caller, &id("user-service"), &callee, offers).await;
    assert!(connected.is_ok(), "{connected:?}");

    hands.forward(2 * HOUR);
    let (connected, _) = handshake(&caller, &id("user-service"), &callee, offers).await;
    assert!(matches!(connected, Err(TlsError::Untrusted(_))), "{connected:?}");
}
