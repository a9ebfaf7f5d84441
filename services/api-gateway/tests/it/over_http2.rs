//! The public over TLS and HTTP/2.

use axum::body::{Body, Bytes};
use http::{Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use service_auth::{Alpn, SpiffeId, TrustDomain};
use types::ServiceName;

use crate::issuer::Issuer;
use crate::town::{GATEWAY, Site, Town};

#[tokio::test(start_paused = true)]
async fn a_request_over_http2_reaches_a_service_as_one_over_http1() {
    let site = Site::in_memory();
    let [cert, key] = site.certificate();
    let vars = [("PUBLIC_TLS_CERT_FILE", &*cert), ("PUBLIC_TLS_KEY_FILE", &key)];
    Town::found(site, Issuer::new(), &vars, async |town| {
        let stranger = town.site.identity(&ServiceName::new("stranger"));
        let shown = SpiffeId::service(&TrustDomain::default(), &GATEWAY);
        let secured = stranger.connect(town.dial(town.public).await, &shown, Alpn::H2).await.unwrap();
        let (mut sender, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(secured.io)).await.unwrap();
        let asking = async move {
            let request = Request::post("https://shop.example/auth/echo?a=1")
                .version(Version::HTTP_2)
                .header("cookie", "a=1")
                .header("cookie", "b=2")
                .header("x-user-id", "7")
                .body(Full::new(Bytes::from_static(b"tea")))
                .unwrap();
            let mut full = Request::get("https://shop.example/auth/echo").version(Version::HTTP_2);
            for number in 0..93 {
                full = full.header(format!("x-{number}"), "y");
            }
            let refused = sender.send_request(full.body(Full::default()).unwrap()).await.unwrap();
            assert_eq!(refused.status(), 431, "a service would refuse it with what is added");
            let reply = sender.send_request(request).await.unwrap();
            assert_eq!((reply.status().as_u16(), reply.version()), (200, Version::HTTP_2));
            let body = Body::new(reply.into_body()).collect().await.unwrap().to_bytes();
            serde_json::from_slice::<Value>(&body).unwrap()
        };
        let (told, connection) = tokio::join!(asking, connection);
        connection.unwrap();
        assert_eq!((&told["target"], &told["body"]), (&"/auth/echo?a=1".into(), &"tea".into()));
        let headers = told["headers"].to_string();
        for line in ["cookie: a=1; b=2", "x-forwarded-host: shop.example", "x-forwarded-proto: https"] {
            assert!(headers.contains(line), "no {line} in {headers}");
        }
        assert!(!headers.contains("x-user-id"), "{headers}");
    })
    .await;
}
