//! The gateway's way in: one function for all requests, behind a listener for people nobody knows.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use chassis::{
    Arrival, Assembly, Configure as _, Front, FrontConfig, FrontTls, Handler, Listeners, Problem, RawHandler,
    Settings, Sources, Vars,
};
use discovery::{Discover, Registry};
use http::StatusCode;
use http_body_util::BodyExt as _;
use insta::assert_snapshot;
use runtime::Io;
use service_auth::{Alpn, Protocol, SpiffeId, TrustDomain};
use tokio_util::sync::CancellationToken;
use types::{ErrorClass, ServiceName};

use crate::harness::{RawClient, Setup};
use crate::town::Town;

const GATEWAY: ServiceName = ServiceName::new("api-gateway");

/// Echoes at most four bytes, under the name `/echo`.
async fn echo(arrival: Arrival, name: Arc<str>) -> Result<Response, Problem> {
    match arrival.head.uri.path() {
        "/panic" => panic!("out of tea"),
        "/refused" => return Err(Problem::new(ErrorClass::TooMany, "one cup each")),
        "/foreign" => return Ok((StatusCode::NOT_FOUND, "no tea here").into_response()),
        _ => arrival.matched(&name),
    }
    let body =
        arrival.body.within(4)?.collect().await.map_err(|error| {
            chassis::BodyError::among(&error).expect("nothing else is read here").problem()
        })?;
    Ok(Response::new(Body::from(body.to_bytes())))
}

fn raw() -> RawHandler {
    let name: Arc<str> = "/echo".into();
    RawHandler::new(move |arrival| echo(arrival, Arc::clone(&name)))
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_is_the_last_of_its_connection() {
    let world = Setup::answering(Handler::Raw(raw())).on_loopback().await;
    let post = |path: &str, length: usize| {
        format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n")
    };
    for (path, status) in [("/refused", 429), ("/foreign", 404), ("/echo", 413)] {
        let mut client = world.connect().await;
        client.send(post(path, 100_000)).await;
        client.send("x".repeat(50_000)).await;
        let reply = client.reply().await;
        assert_eq!((reply.status(), reply.header("connection")), (status, Some("close")), "{path}");
        assert_eq!(client.rest().await, "");
    }

    let mut client = world.connect().await;
    for path in ["/refused", "/foreign", "/echo"] {
        client.send(request(path)).await;
        assert_eq!(client.reply().await.header("connection"), None, "{path} without a body");
    }
    client.send(post("/echo", 3) + "tea").await;
    let reply = client.reply().await;
    assert_eq!((reply.body.as_str(), reply.header("connection")), ("tea", None));
}

#[tokio::test]
async fn what_a_raw_handler_answers_goes_out_as_it_is_and_its_refusals_as_problems() {
    let world = Setup::answering(Handler::Raw(raw())).on_loopback().await;
    assert_snapshot!(world.ask(request("/foreign")).await, @r#"
    HTTP/1.1 404 Not Found
    content-type: text/plain; charset=utf-8
    x-request-id: ID
    content-length: 11
    no tea here
    "#);
    assert_eq!(world.ask(request("/refused")).await.detail(), "one cup each");
    let broken = world.ask(request("/panic")).await;
    assert_eq!((broken.status(), broken.detail()), (500, String::new()));
    assert_eq!(world.counted("flotilla_panics_total"), 1);
}

#[tokio::test]
async fn a_raw_handler_says_how_large_a_body_may_be() {
    let world = Setup::answering(Handler::Raw(raw())).on_loopback().await;
    let post = |length: usize, body: &str| {
        format!("POST /a/long/path HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    assert_eq!(world.ask(post(4, "1234")).await.body, "1234");
    let refused = world.ask(post(5, "")).await;
    let too_large = "the body must not be larger than 4 bytes";
    assert_eq!((refused.status(), refused.detail()), (413, too_large.to_owned()));
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\n123\r\n2\r\n45\r\n";
    let refused = world.ask(chunked).await;
    assert_eq!((refused.status(), refused.detail()), (413, too_large.to_owned()));
}

#[tokio::test]
async fn a_request_is_measured_under_the_name_that_a_raw_handler_gives_it() {
    let world = Setup::answering(Handler::Raw(raw())).on_loopback().await;
    for path in ["/a", "/b/c", "/refused"] {
        world.ask(request(path)).await;
    }
    let series = |route: &str, status: &str| {
        format!(
            "http_server_request_duration_seconds_count{{service=\"test-service\",http_request_method=\"GET\",\
             http_route=\"{route}\",http_response_status_code=\"{status}\"}}"
        )
    };
    world.assert_counts(&format!("{} 2", series("/echo", "200")));
    world.assert_counts(&format!("{} 1", series("", "429")));
}

fn config<const N: usize>(vars: [(&str, &str); N]) -> Result<FrontConfig, String> {
    let mut settings = Settings::new(GATEWAY, Sources { vars: Vars::from(vars), ..Sources::default() });
    let config = FrontConfig::configure(&mut settings);
    settings.finish().map(|()| config).map_err(|errors| errors.to_string())
}

#[test]
fn the_public_gets_plain_http_on_loopback_alone() {
    let local = config([]).unwrap();
    assert_eq!((local.addr, local.scheme()), (SocketAddr::from(([127, 0, 0, 1], 8080)), "http"));
    assert_eq!(local.tls, FrontTls::None);
    assert_snapshot!(config([("PUBLIC_BIND_ADDRESS", "0.0.0.0")]).unwrap_err(), @r#"
    2 settings are wrong:
      PUBLIC_TLS_CERT_FILE: not set, must be a PEM file with the certificate for the public and its chain, because PUBLIC_BIND_ADDRESS is not loopback, unless PUBLIC_TLS is terminated
      PUBLIC_TLS_KEY_FILE: not set, must be a PEM file with the key of PUBLIC_TLS_CERT_FILE
    "#);
    let terminated = config([("PUBLIC_BIND_ADDRESS", "::"), ("PUBLIC_TLS", "terminated")]).unwrap();
    assert_eq!((&terminated.tls, terminated.scheme()), (&FrontTls::Terminated, "https"));
}

#[test]
fn a_certificate_for_the_public_comes_with_its_key_and_where_tls_ends() {
    let town = Town::new();
    let [cert, key, _] = town.mount("api-gateway");
    let both =
        [("PUBLIC_BIND_ADDRESS", "0.0.0.0"), ("PUBLIC_TLS_CERT_FILE", &*cert), ("PUBLIC_TLS_KEY_FILE", &key)];
    let tls = config(both).unwrap().tls;
    assert_eq!(tls, FrontTls::Files { cert: cert.clone().into(), key: key.clone().into() });

    let wrong = [
        config([("PUBLIC_TLS_CERT_FILE", &cert)]),
        config([("PUBLIC_TLS_KEY_FILE", &key)]),
        config([("PUBLIC_TLS", "terminated"), ("PUBLIC_TLS_CERT_FILE", &cert)]),
        config([("PUBLIC_TLS", "terminated"), ("PUBLIC_TLS_KEY_FILE", &key)]),
        config([("PUBLIC_TLS_CERT_FILE", "/nowhere"), ("PUBLIC_TLS_KEY_FILE", &key)]),
    ];
    let told: Vec<_> = wrong.into_iter().map(|config| config.unwrap_err()).collect();
    let dir = town.dir.path().display().to_string();
    assert_snapshot!(told.join("\n").replace(&dir, "DIR"), @r#"
    1 setting is wrong:
      PUBLIC_TLS_KEY_FILE: not set, must be a PEM file with the key of PUBLIC_TLS_CERT_FILE
    1 setting is wrong:
      PUBLIC_TLS_CERT_FILE: not set, must be a PEM file with the certificate for the public and its chain, because PUBLIC_TLS_KEY_FILE is given
    1 setting is wrong:
      PUBLIC_TLS_CERT_FILE (environment): must be left out: PUBLIC_TLS says that TLS ends elsewhere, not "DIR/cert.pem"
    1 setting is wrong:
      PUBLIC_TLS_KEY_FILE (environment): must be left out: PUBLIC_TLS says that TLS ends elsewhere, not "DIR/key.pem"
    1 setting is wrong:
      PUBLIC_TLS_CERT_FILE (environment): must be a PEM file with the certificate for the public and its chain that can be read (entity not found), not "/nowhere"
    "#);
}

#[test]
fn the_gateway_has_no_port_for_an_edge_api_of_its_own() {
    let vars = Vars::from([("HTTP_PORT", "1"), ("GRPC_PORT", "3000")]);
    let mut settings = Settings::new(GATEWAY, Sources { vars, ..Sources::default() });
    let listeners = Listeners::configure(&mut settings);
    assert_eq!((listeners.http.port(), listeners.grpc.port()), (0, 3000));
    assert_eq!(settings.finish(), Ok(()), "services that share an environment may have one");
}

/// A connection to the front by somebody who wants to speak what `alpn` says.
async fn connect(town: &Town, addr: SocketAddr, alpn: Alpn) -> (Io, Protocol) {
    let io = town.env().net.dial(&addr.to_string()).await.unwrap();
    let shown = SpiffeId::service(&TrustDomain::default(), &GATEWAY);
    let secured = town.identity("stranger").connect(io, &shown, alpn).await.unwrap();
    (secured.io, secured.protocol)
}

#[tokio::test]
async fn over_tls_the_public_chooses_the_version_of_http() {
    let town = Town::new();
    let [cert, key, _] = town.mount("api-gateway").map(Into::into);
    let platform = town.platform(GATEWAY.as_str(), &(Arc::new(Registry::default()) as Arc<dyn Discover>));
    let config = FrontConfig { addr: "127.0.0.1:0".parse().unwrap(), tls: FrontTls::Files { cert, key } };
    let front = Some(Front {
        config,
        handler: raw(),
        largest_body: 1 << 10,
        serves_clients: true,
        passes_on: Vec::new(),
    });
    let service = Assembly { front, ..Assembly::new(&platform.trust_domain) }.bind(&platform).await.unwrap();
    let (addrs, shutdown) = (service.addrs(), CancellationToken::new());
    let asking = async {
        assert_eq!(connect(&town, addrs.http, Alpn::H2).await.1, Protocol::H2);
        let (io, protocol) = connect(&town, addrs.http, Alpn::Http1).await;
        assert_eq!(protocol, Protocol::Http1);
        let mut client = RawClient::over(io);
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\ntea").await;
        assert_eq!(client.reply().await.body, "tea");
        let metrics = town.admin(addrs.admin, "/metrics").await.body;
        assert!(metrics.contains("flotilla_public_certificate_expiry_timestamp_seconds{"), "{metrics}");
        shutdown.cancel();
    };
    let (ended, ()) = tokio::join!(service.run(shutdown.clone()), asking);
    assert_eq!(ended, Ok(()));
}
