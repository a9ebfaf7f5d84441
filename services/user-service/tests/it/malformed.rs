//! Requests that no client of ours would send.

use axum::body::Body;
use http::Request;
use proto::status;
use tonic::Status;
use tower::ServiceExt as _;
use types::ErrorClass;

use crate::world::World;

/// A gRPC frame: not compressed, its length, its message.
fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}

async fn get_user(world: &World, body: Vec<u8>) -> Status {
    let request = Request::post("https://user-service/userservice.UserService/GetUser")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::from(body))
        .unwrap();
    let response = world.raw("operator").await.oneshot(request).await.unwrap();
    Status::from_header_map(response.headers()).expect("it is refused without a body")
}

#[tokio::test]
async fn a_message_that_is_no_request_is_the_callers_mistake() {
    World::on_sqlite(async |world| {
        let truncated = [&[0, 0, 0, 0, 9][..], b"\x0a"].concat();
        for (name, body) in [
            ("no message at all", Vec::new()),
            ("a frame that is cut off", truncated),
            ("a text that is longer than the message", frame(b"\x0a\x7fabc")),
            ("a text that is no UTF-8", frame(b"\x0a\x01\xff")),
            ("a number in place of a text", frame(b"\x08\x01")),
            ("a tag that is none", frame(b"\x00\x00")),
            ("two requests in one", [frame(b""), frame(b"")].concat()),
        ] {
            let refused = get_user(world, body).await;
            assert_eq!(status::class(&refused), ErrorClass::Invalid, "{name}: {refused:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_wrong_id_is_named_and_an_unknown_field_is_passed_over() {
    World::on_sqlite(async |world| {
        for id in ["", "7", "0190b3c8-7c5e-7000-8000-00000000000\0", "é"] {
            let mut message = vec![0x0a, u8::try_from(id.len()).unwrap()];
            message.extend(id.as_bytes());
            let refused = get_user(world, frame(&message)).await;
            let fields: Vec<_> = status::fields(&refused).into_iter().map(|field| field.pointer).collect();
            assert_eq!(fields, ["/id"], "{id:?}: {refused:?}");
        }
        let mut message = b"\x0a\x24".to_vec();
        message.extend(b"0190b3c8-7c5e-7000-8000-000000000000\x98\x06\x01");
        assert_eq!(status::class(&get_user(world, frame(&message)).await), ErrorClass::NotFound);
    })
    .await;
}
