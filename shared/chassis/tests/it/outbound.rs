//! Services that find and call each other.

use std::time::Duration;

use axum::body::Body;

use chassis::{Access, Assembly, Background, Edge, Platform, Problem, get};
use discovery::Endpoint;
use futures_util::{FutureExt as _, stream};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use runtime::Deadline;
use service_client::{CallError, Channel, SendError, request, streaming};
use telemetry::TraceContext;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use types::{Classify as _, ErrorClass};

use crate::town::{SHOP, Town};

const GATEWAY: &str = "api-gateway";

fn soon() -> Deadline {
    Deadline::within(Duration::from_secs(20))
}

fn assembly(platform: &Platform) -> Assembly {
    let mut assembly = Assembly::new(&platform.trust_domain);
    assembly.http = Edge::new().route("/tea", get(Access::Anybody, async || "tea"));
    assembly
}

async fn health(channel: Channel) -> Result<ServingStatus, CallError> {
    let check = request(HealthCheckRequest::default(), soon(), None);
    Ok(HealthClient::new(channel).check(check).await?.into_inner().status())
}

#[tokio::test]
async fn a_service_is_known_while_it_serves_and_no_more_when_it_begins_to_end() {
    let town = Town::new();
    let mut platform = town.shop();
    let hour = Duration::from_secs(3600);
    (platform.listeners.drain_delay, platform.listeners.drain_timeout) = (hour, 2 * hour);
    let service = assembly(&platform).bind(&platform).await.unwrap();
    let (addrs, shutdown) = (service.addrs(), CancellationToken::new());
    let mut known = platform.discovery.watch(&SHOP);
    assert!(known.borrow_and_update().is_empty(), "it does not serve yet");
    let watching = async {
        known.changed().await.unwrap();
        assert_eq!(**known.borrow_and_update(), [Endpoint { http: addrs.http, grpc: addrs.grpc }]);
        assert_eq!(town.until_ready_is(addrs.admin, StatusCode::OK).await.status, StatusCode::OK);
        shutdown.cancel();
        town.until_ready_is(addrs.admin, StatusCode::SERVICE_UNAVAILABLE).await;
        assert!(known.borrow_and_update().is_empty());
        town.get(GATEWAY, addrs.http, "/tea").await.body
    };
    tokio::select! {
        end = service.run(shutdown.clone()) => panic!("it ended: {end:?}"),
        body = watching => assert_eq!(body, "tea", "whoever has not heard of it is answered"),
    }
}

#[tokio::test]
async fn services_call_each_other_by_name() {
    let town = Town::new();
    let shop = town.shop();
    let gateway = town.platform(GATEWAY, &shop.discovery);
    let (rpc, proxy) = (gateway.outbound().grpc(&SHOP), gateway.outbound().http(&SHOP));
    let ask = || proxy.send(Request::get("/tea").body(Body::empty()).unwrap(), soon());
    assert_eq!(health(rpc.clone()).await.unwrap_err().class(), ErrorClass::Unavailable);

    let service = assembly(&shop).bind(&shop).await.unwrap();
    let (shutdown, mut known) = (CancellationToken::new(), shop.discovery.watch(&SHOP));
    let calling = async {
        known.wait_for(|known| !known.is_empty()).await.unwrap();
        assert_eq!(health(rpc.clone()).await.unwrap(), ServingStatus::Serving);
        let answer = ask().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "tea");
        shutdown.cancel();
    };
    let (end, ()) = tokio::join!(service.run(shutdown.clone()), calling);
    assert_eq!(end, Ok(()), "connections that carry nothing hold nobody up");
    assert_eq!(health(rpc).await.unwrap_err().class(), ErrorClass::Unavailable);
    assert!(matches!(ask().await, Err(SendError::Nobody(service)) if service == SHOP));
}

#[tokio::test]
async fn the_callee_keeps_the_deadline_and_goes_on_with_the_trace_and_nobody_else_may_ask() {
    let town = Town::new();
    let shop = town.shop();
    let told = async |left: axum::Extension<Deadline>, trace: axum::Extension<TraceContext>| {
        format!("{} {}", left.remaining().as_secs(), trace.trace_id())
    };
    let http = Edge::new().route("/told", get(Access::Anybody, told));
    let service = Assembly { http, ..assembly(&shop) }.bind(&shop).await.unwrap();
    let (shutdown, mut known) = (CancellationToken::new(), shop.discovery.watch(&SHOP));
    let (gateway, stranger) =
        (town.platform(GATEWAY, &shop.discovery), town.platform("auth-service", &shop.discovery));
    let trace = TraceContext::new(&town.env().random);
    let calling = async {
        known.wait_for(|known| !known.is_empty()).await.unwrap();
        let mut question = Request::get("/told").body(Body::empty()).unwrap();
        trace.inject(question.headers_mut());
        let deadline = Deadline::within(Duration::from_millis(9_900));
        let answer = gateway.outbound().http(&SHOP).send(question, deadline).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, format!("9 {}", trace.trace_id()));

        let question = Request::get("/told").body(Body::empty()).unwrap();
        let refused = stranger.outbound().http(&SHOP).send(question, soon()).await.unwrap();
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        let message = ServerReflectionRequest::default();
        let call = streaming(stream::iter([message]), soon(), None);
        let mut reflection = ServerReflectionClient::new(stranger.outbound().grpc(&SHOP));
        let refused: CallError = reflection.server_reflection_info(call).await.unwrap_err().into();
        assert_eq!(refused.class(), ErrorClass::Internal, "it is no user who may not: {refused}");
        shutdown.cancel();
    };
    let (end, ()) = tokio::join!(service.run(shutdown.clone()), calling);
    assert_eq!(end, Ok(()));
}

#[tokio::test]
async fn what_failed_for_want_of_another_service_is_not_to_be_tried_again_by_whoever_asked() {
    let town = Town::new();
    let shop = town.shop();
    let channel = shop.outbound().grpc(&types::ServiceName::new("tea-garden"));
    let late = channel.clone();
    let passed_on = async move || health(channel.clone()).await.map(|_| "tea").map_err(Problem::from);
    let late = async move || {
        drop(health(late.clone()).await);
        std::future::pending::<&str>().await
    };
    let own = async || Err::<(), _>(Problem::new(ErrorClass::Unavailable, "no tea is left"));
    let mut assembly = assembly(&shop);
    assembly.http = assembly
        .http
        .route("/passed-on", get(Access::Anybody, passed_on))
        .route("/late", get(Access::Anybody, late))
        .route("/own", get(Access::Anybody, own));
    let service = assembly.bind(&shop).await.unwrap();
    let (addrs, shutdown) = (service.addrs(), CancellationToken::new());
    let asking = async {
        let (refused, late) = (StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT);
        let cases = [
            ("/passed-on", "9000", refused, Some("never")),
            ("/late", "200", late, Some("never")),
            ("/own", "9000", refused, Some("safe")),
        ];
        for (path, millis, status, retry) in cases {
            let request = Request::get(format!("https://shop{path}")).header("flotilla-timeout-ms", millis);
            let answer = town.send(GATEWAY, addrs.http, request).await.unwrap();
            let told = answer.headers.get("flotilla-retry").map(|told| told.to_str().unwrap());
            assert_eq!((answer.status, told), (status, retry), "{path}");
        }
        shutdown.cancel();
    };
    let (end, ()) = tokio::join!(service.run(shutdown.clone()), asking);
    assert_eq!(end, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_requests_at_once_are_all_answered_over_as_many_connections() {
    const AT_ONCE: usize = 40;
    let town = Town::new();
    let shop = town.shop();
    let gateway = town.platform(GATEWAY, &shop.discovery);
    let service = assembly(&shop).bind(&shop).await.unwrap();
    let (shutdown, mut known) = (CancellationToken::new(), shop.discovery.watch(&SHOP));
    let proxy = gateway.outbound().http(&SHOP);
    let asking = async {
        known.wait_for(|known| !known.is_empty()).await.unwrap();
        let (told, mut answers) = mpsc::channel(AT_ONCE);
        for _ in 0..AT_ONCE {
            let (proxy, told) = (proxy.clone(), told.clone());
            gateway.env.tasks.spawn("asking", async move {
                for _ in 0..50 {
                    let answer = proxy.send(Request::get("/tea").body(Body::empty()).unwrap(), soon()).await;
                    let body = answer.unwrap().into_body().collect().await.unwrap().to_bytes();
                    told.send(body).await.unwrap();
                }
            });
        }
        drop(told);
        let mut answered = 0;
        while let Some(body) = answers.recv().await {
            assert_eq!(body, "tea");
            answered += 1;
        }
        assert_eq!(answered, 50 * AT_ONCE);
        let running = gateway.env.tasks.running();
        let connections = running.iter().find(|(name, _)| *name == "outbound connection");
        // One that has just been given back may not be ready yet for whoever comes next.
        assert!(connections.is_some_and(|(_, count)| *count <= 2 * AT_ONCE), "{running:?}");
        shutdown.cancel();
    };
    let (end, ()) = tokio::join!(service.run(shutdown.clone()), asking);
    assert_eq!(end, Ok(()));
    assert_eq!(gateway.env.tasks.fault().now_or_never(), None);
}

#[tokio::test]
async fn the_connections_that_a_service_made_end_with_it() {
    let town = Town::new();
    let shop = town.shop();
    let gateway = town.platform(GATEWAY, &shop.discovery);
    let (called, has_called) = oneshot::channel();
    let channel = gateway.outbound().grpc(&SHOP);
    let mut calling = assembly(&gateway);
    calling.background.push(Background::new("calling", async move |stop| {
        while health(channel.clone()).await.is_err() {}
        called.send(()).unwrap();
        stop.cancelled().await;
    }));
    let serving = assembly(&shop).bind(&shop).await.unwrap();
    let calling = calling.bind(&gateway).await.unwrap();
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    let gateway_ends = async {
        has_called.await.unwrap();
        first.cancel();
    };
    let gateway_runs = async {
        let (end, ()) = tokio::join!(calling.run(first.clone()), gateway_ends);
        assert_eq!(end, Ok(()));
        assert_eq!(gateway.env.tasks.running(), []);
        second.cancel();
    };
    let (end, ()) = tokio::join!(serving.run(second.clone()), gateway_runs);
    assert_eq!(end, Ok(()));
}
