//! Whoever watches is told of a request all that it comes to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use http::{Request, Response, StatusCode};
use proto::Repeatable;
use runtime::Deadline;
use service_client::{Event, Outcome, What, allow_retry};

use crate::shop::{Body, full};
use crate::town::{PATIENCE, SHOP, Town, ip};

#[tokio::test(start_paused = true)]
async fn a_request_is_seen_from_its_beginning_over_each_instance_to_its_answer() {
    let (town, seen) = (Town::new(), Arc::new(Mutex::new(Vec::new())));
    let _registered = [1, 2].map(|last| town.register(last));
    let count = Arc::new(Mutex::new(0));
    let _shops = [1, 2].map(|last| {
        let count = Arc::clone(&count);
        town.http(last, move |_| {
            let mut count = count.lock().unwrap();
            *count += 1;
            let mut answer = Response::new(full("tea"));
            if *count == 1 {
                *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                allow_retry(answer.headers_mut());
            }
            async move { answer }.boxed()
        })
    });
    let events = Arc::clone(&seen);
    let outbound = town.outbound.watched_by(Arc::new(move |event| events.lock().unwrap().push(event)));
    let request = Request::put("/tea?with=milk").body(full("milk")).unwrap();
    outbound.http::<Body>(&SHOP).send(request, Deadline::within(PATIENCE)).await.unwrap();

    let seen: Vec<Event> = std::mem::take(&mut seen.lock().unwrap());
    assert!(seen.iter().all(|event| event.request == 0), "{seen:#?}");
    let mut seen = seen.into_iter().map(|event| event.what);
    let (callee, path) = (SHOP, "/tea".to_owned());
    let (protocol, repeatable, left) = ("http", Repeatable::Idempotent, PATIENCE);
    assert_eq!(seen.next(), Some(What::Began { callee, protocol, path, repeatable, left }));
    let chosen = seen.next();
    let Some(What::Chosen { addr, is_trial: false }) = chosen else { panic!("{chosen:?}") };
    let other = SocketAddr::new(ip(if addr.ip() == ip(1) { 2 } else { 1 }), addr.port());
    let rest: Vec<_> = seen.collect();
    let left = |what: &What| match what {
        What::Sent { left, .. } => *left,
        _ => PATIENCE,
    };
    let (is_trial, change) = (false, None);
    assert_eq!(
        rest,
        [
            What::Sent { addr, number: 1, left: left(&rest[0]) },
            What::Left { addr, is_trial, change },
            What::Came(Outcome::Undone),
            What::Paid,
            What::Chosen { addr: other, is_trial },
            What::Sent { addr: other, number: 2, left: left(&rest[5]) },
            What::Left { addr: other, is_trial, change },
            What::Came(Outcome::Answered),
        ]
    );
    let [first, second] = [&rest[0], &rest[5]].map(left);
    assert!(first <= PATIENCE, "{first:?}");
    assert_eq!(second, first, "whoever is refused goes to another instance at once");
}
