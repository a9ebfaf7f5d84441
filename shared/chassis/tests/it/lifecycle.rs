//! A service from its ports to its end.

use std::future::pending;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::{
    Access, Addrs, Assembly, Background, Closing, Edge, Finding, Listeners, Platform, Renewal, RunError,
    Service, Settings, Sources, StartError, Vars, database_config, get,
};
use database::{Config, SqliteConfig};
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use http::header::{CONNECTION, CONTENT_TYPE};
use runtime::Fault;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::town::{SHOP, Town};

pub(crate) const GATEWAY: &str = "api-gateway";

pub(crate) fn assembly(platform: &Platform) -> Assembly {
    let mut assembly = Assembly::new(&platform.trust_domain);
    assembly.http = Edge::new().route("/tea", get(Access::Anybody, async || "tea"));
    assembly
}

/// A handler that tells that it was reached and answers when it is let.
fn slow(reached: oneshot::Sender<()>, release: Arc<Notify>) -> Edge {
    let reached = Arc::new(Mutex::new(Some(reached)));
    let handler = async move || {
        reached.lock().unwrap().take().expect("it is asked once").send(()).unwrap();
        release.notified().await;
        "late tea"
    };
    Edge::new().route("/slow", get(Access::Anybody, handler))
}

/// Runs `service` until its end while `script` plays, which is given what ends the service.
pub(crate) async fn with<T>(
    service: Service,
    script: impl AsyncFnOnce(Addrs, CancellationToken) -> T,
) -> (Result<(), RunError>, T) {
    let (addrs, shutdown) = (service.addrs(), CancellationToken::new());
    tokio::join!(service.run(shutdown.clone()), script(addrs, shutdown))
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_service_ends_and_later_ones_find_nobody() {
    let (town, release) = (Town::new(), Arc::new(Notify::new()));
    let platform = town.shop();
    let (reached, is_reached) = oneshot::channel();
    let http = slow(reached, Arc::clone(&release));
    let service = Assembly { http, ..assembly(&platform) }.bind(&platform).await.unwrap();
    let (end, answer) = with(service, async |addrs, shutdown| {
        let drain = async {
            is_reached.await.unwrap();
            shutdown.cancel();
            let told = town.until_ready_is(addrs.admin, StatusCode::SERVICE_UNAVAILABLE).await;
            assert_eq!(told.body, r#"{"status":"draining","checks":{}}"#);
            town.until_refused(addrs.http).await;
            town.until_refused(addrs.grpc).await;
            release.notify_one();
        };
        tokio::join!(town.get(GATEWAY, addrs.http, "/slow"), drain).0
    })
    .await;
    assert_eq!(answer.body, "late tea");
    assert_eq!(end, Ok(()));
    assert_eq!(platform.env.tasks.running(), []);
}

#[tokio::test]
async fn a_service_says_that_it_is_not_ready_while_it_still_accepts() {
    let town = Town::new();
    let mut platform = town.shop();
    let hour = Duration::from_secs(3600);
    platform.listeners.drain_delay = hour;
    platform.listeners.drain_timeout = 2 * hour;
    let service = assembly(&platform).bind(&platform).await.unwrap();
    let (addrs, shutdown) = (service.addrs(), CancellationToken::new());
    let asking = async {
        shutdown.cancel();
        let told = town.until_ready_is(addrs.admin, StatusCode::SERVICE_UNAVAILABLE).await;
        assert_eq!(told.headers[CONNECTION], "close", "the next request finds another instance");
        town.get(GATEWAY, addrs.http, "/tea").await.body
    };
    tokio::select! {
        end = service.run(shutdown.clone()) => panic!("it ended: {end:?}"),
        body = asking => assert_eq!(body, "tea"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_in_time_is_cut_off_and_told() {
    let (town, release) = (Town::in_memory(), Arc::new(Notify::new()));
    let platform = town.shop();
    let (reached, is_reached) = oneshot::channel();
    let mut assembly = Assembly { http: slow(reached, release), ..assembly(&platform) };
    assembly.background.push(Background::new("counting", async |_| pending().await));
    assembly.closing.push(Closing::new("closing the shop", pending()));
    let service = assembly.bind(&platform).await.unwrap();
    let (end, cut) = with(service, async |addrs, shutdown| {
        let ending = async {
            is_reached.await.unwrap();
            shutdown.cancel();
        };
        tokio::join!(town.try_get(GATEWAY, addrs.http, "/slow"), ending).0
    })
    .await;
    assert!(cut.is_err(), "{cut:?}");
    let what = ["connections (1)", "background tasks", "closing the shop"].map(str::to_owned).to_vec();
    assert_eq!(end, Err(RunError::Cut { within: platform.listeners.drain_timeout, what }));
}

#[tokio::test]
async fn background_tasks_end_after_the_last_request_and_what_closes_comes_last() {
    let town = Town::new();
    let platform = town.shop();
    let story = Arc::new(Mutex::new(Vec::new()));
    let tell = |what: &'static str| {
        let story = Arc::clone(&story);
        async move { story.lock().unwrap().push(what) }
    };
    let (stopped, closed) = (tell("background stopped"), tell("database closed"));
    let mut assembly = assembly(&platform);
    assembly.background.push(Background::new("relay", async |stop| {
        stop.cancelled().await;
        stopped.await;
    }));
    assembly.closing.push(Closing::new("database", closed));
    let service = assembly.bind(&platform).await.unwrap();
    let (end, ()) = with(service, async |_, shutdown| shutdown.cancel()).await;
    assert_eq!(end, Ok(()));
    assert_eq!(*story.lock().unwrap(), ["background stopped", "database closed"]);
}

#[tokio::test]
async fn a_database_that_goes_away_is_told_in_readiness() {
    let town = Town::new();
    let platform = town.shop();
    let database = platform.open_database(&shelf(&town), &[]).await.unwrap();
    let assembly = assembly(&platform).with_database(&platform, &database);
    let service = assembly.bind(&platform).await.unwrap();
    let (end, ()) = with(service, async |addrs, shutdown| {
        town.until_ready_is(addrs.admin, StatusCode::OK).await;
        database.close().await;
        let told = town.until_ready_is(addrs.admin, StatusCode::SERVICE_UNAVAILABLE).await;
        assert!(
            told.body.starts_with(r#"{"status":"degraded","checks":{"database":{"status":"failing""#),
            "{told:?}"
        );
        shutdown.cancel();
    })
    .await;
    assert_eq!(end, Ok(()));
}

#[tokio::test]
async fn a_service_closes_its_database() {
    let town = Town::new();
    let platform = town.shop();
    let database = platform.open_database(&shelf(&town), &[]).await.unwrap();
    let assembly = assembly(&platform).with_database(&platform, &database);
    let service = assembly.bind(&platform).await.unwrap();
    let (end, ()) = with(service, async |_, shutdown| shutdown.cancel()).await;
    assert_eq!(end, Ok(()));
    assert_eq!(platform.env.tasks.running(), []);
}

fn shelf(town: &Town) -> Config {
    Config::sqlite(SqliteConfig::at(town.dir.path().join("shop.db")))
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_not_reached_is_tried_a_few_times() {
    let town = Town::new();
    let platform = town.shop();
    let nobody = platform.env.net.bind("127.0.0.1:0".parse().unwrap()).await.unwrap().local_addr().unwrap();
    let url = format!("postgres://ada:hunter2@{nobody}/shop");
    let vars = Vars::from([("DATABASE_URL", &*url)]);
    let mut settings = Settings::new(SHOP, Sources { vars, ..Sources::default() });
    let config = database_config(&mut settings);
    let begun = Instant::now();
    let error = platform.open_database(&config, &[]).await.unwrap_err();
    assert!(error.is_unavailable());
    assert!(begun.elapsed() >= Duration::from_millis(250 + 500 + 1_000 + 2_000 + 4_000));
    assert_eq!(error.to_string(), format!("opening postgres://ada@{nobody}/shop"));
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_service_keeps_to_the_limits_in_its_settings() {
    let town = Town::new();
    let vars = [("MAX_CONNECTIONS", "100"), ("MAX_BODY_SIZE", "1KiB"), ("REQUEST_TIMEOUT", "100ms")];
    let mut settings = Settings::new(SHOP, Sources { vars: Vars::from(vars), ..Sources::default() });
    let mut platform = town.shop();
    platform.listeners = Listeners::local().or(&mut settings);
    assert_eq!(settings.finish().map_err(|errors| errors.to_string()), Ok(()));
    let http = Edge::new().route("/slow", get(Access::Anybody, pending::<()>));
    let service = Assembly { http, ..assembly(&platform) }.bind(&platform).await.unwrap();
    let (_, ()) = with(service, async |addrs, shutdown| {
        assert_eq!(town.get(GATEWAY, addrs.http, "/slow").await.status, StatusCode::GATEWAY_TIMEOUT);
        let admin = addrs.admin.to_string();
        let mut held = Vec::new();
        for _ in 0..10 {
            held.push(town.env().net.dial(&admin).await.unwrap());
        }
        let mut refused = town.env().net.dial(&admin).await.unwrap();
        assert_eq!(refused.read(&mut [0]).await.unwrap(), 0, "a tenth is one address's");
        let told = "flotilla_connections_refused_total{service=\"shop-service\",listener=\"admin\"} 1\n";
        assert!(platform.metrics.render().contains(told), "{}", platform.metrics.render());
        shutdown.cancel();
    })
    .await;
    assert_eq!(platform.listeners.bounds.body, 1_024);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_renewed_while_the_service_runs_and_a_broken_one_leaves_the_old_in_use() {
    let town = Town::in_memory();
    let [cert, key, ca] = town.mount(SHOP.as_str()).map(PathBuf::from);
    let files = (cert.clone(), key, ca);
    let renewal = Renewal::new(move |identity| identity.reload(&files.0, &files.1, &files.2));
    let platform = town.shop().with_renewal(renewal);
    let first = platform.identity.expires_at();
    let service = assembly(&platform).bind(&platform).await.unwrap();
    let (end, ()) = with(service, async |addrs, shutdown| {
        std::fs::write(&cert, "no certificate").unwrap();
        tokio::time::sleep(Renewal::EVERY * 2).await;
        assert_eq!(platform.identity.expires_at(), first);
        town.mount(SHOP.as_str());
        tokio::time::sleep(Renewal::EVERY).await;
        let renewed = platform.identity.expires_at();
        assert!(renewed > first, "{renewed} is not later than {first}");
        assert_eq!(town.get(GATEWAY, addrs.http, "/tea").await.body, "tea");
        let told = format!(
            "flotilla_certificate_expiry_timestamp_seconds{{service=\"shop-service\"}} {}\n",
            renewed.millis() / 1_000
        );
        let metrics = town.admin(addrs.admin, "/metrics").await.body;
        assert!(metrics.contains(&told), "{metrics}");
        shutdown.cancel();
    })
    .await;
    assert_eq!(end, Ok(()));
}

#[tokio::test]
async fn a_panic_in_a_task_ends_the_service_in_order() {
    let town = Town::new();
    let platform = town.shop();
    let (closed, is_closed) = oneshot::channel();
    let mut assembly = assembly(&platform);
    assembly.background.push(Background::new("relay", async |_| panic!("out of tea")));
    assembly.closing.push(Closing::new("database", async { closed.send(()).unwrap() }));
    let service = assembly.bind(&platform).await.unwrap();
    let end = service.run(CancellationToken::new()).await;
    let fault = Fault { task: "relay", message: "out of tea".to_owned() };
    assert_eq!(end, Err(RunError::Fault(fault)));
    assert_eq!(is_closed.await, Ok(()));
}

#[tokio::test]
async fn a_taken_port_is_told_with_its_listener() {
    let town = Town::new();
    let mut platform = town.shop();
    let first = assembly(&platform).bind(&platform).await.unwrap();
    platform.listeners.admin = first.addrs().admin;
    let error = assembly(&platform).bind(&platform).await.unwrap_err();
    assert!(
        matches!(&error, StartError::Listen { listener: "admin", addr, .. } if *addr == first.addrs().admin)
    );
    assert!(error.is_unavailable());
}

#[tokio::test]
async fn the_admin_listener_answers_health_and_metrics_and_nothing_else() {
    let town = Town::new();
    let platform = town.shop();
    let database = platform.health.check("database");
    let service = assembly(&platform).bind(&platform).await.unwrap();
    let (end, ()) = with(service, async |addrs, shutdown| {
        let ask = async |path| town.admin(addrs.admin, path).await;
        let failing = ask("/health").await;
        let unchecked = r#"{"status":"failing","reason":"not checked yet"}"#;
        let body = format!(r#"{{"status":"degraded","checks":{{"database":{unchecked}}}}}"#);
        assert_eq!((failing.status, failing.body), (StatusCode::SERVICE_UNAVAILABLE, body));
        assert_eq!(ask("/health/live").await.status, StatusCode::OK);
        database.report(Finding::Ok);
        let ready = ask("/health/ready").await;
        let body = r#"{"status":"ok","checks":{"database":{"status":"ok"}}}"#;
        assert_eq!((ready.status, &*ready.body), (StatusCode::OK, body));
        let metrics = ask("/metrics").await;
        assert_eq!(metrics.headers[CONTENT_TYPE], telemetry::Metrics::CONTENT_TYPE);
        assert!(metrics.body.ends_with("# EOF\n"), "{}", metrics.body);
        for told in ["flotilla_compute_waiting{service=\"shop-service\"} 0\n", "flotilla_build_info{"] {
            assert!(metrics.body.contains(told), "{}", metrics.body);
        }
        for path in ["/", "/tea", "/metrics/", "/health/other"] {
            assert_eq!(ask(path).await.status, StatusCode::NOT_FOUND, "{path}");
        }
        shutdown.cancel();
    })
    .await;
    assert_eq!(end, Ok(()));
}

#[tokio::test]
async fn grpc_health_follows_readiness_and_its_watchers_do_not_hold_up_the_drain() {
    let town = Town::new();
    let platform = town.shop();
    let database = platform.health.check("database");
    let mut assembly = assembly(&platform);
    assembly.allow = assembly.allow.allow("/shop.Shop/Buy", &["api-gateway"]);
    let service = assembly.bind(&platform).await.unwrap();
    let (end, story) = with(service, async |addrs, shutdown| {
        let mut health = HealthClient::new(town.channel("order-service", addrs.grpc).await);
        let of = |service: &str| HealthCheckRequest { service: service.to_owned() };
        let mut watched = health.watch(of("shop.Shop")).await.unwrap().into_inner();
        let mut next = async || watched.next().await.map(|answer| answer.unwrap().status());
        let mut story = vec![next().await];
        database.report(Finding::Ok);
        story.push(next().await);
        assert_eq!(health.check(of("")).await.unwrap().get_ref().status(), ServingStatus::Serving);
        let unknown = health.check(of("other.Service")).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound);
        let metrics = town.admin(addrs.admin, "/metrics").await.body;
        assert!(metrics.contains(r#"rpc_method="grpc.health.v1.Health/Check""#), "{metrics}");
        shutdown.cancel();
        story.extend([next().await, next().await]);
        story
    })
    .await;
    use ServingStatus::{NotServing, Serving};
    assert_eq!(story, [Some(NotServing), Some(Serving), Some(NotServing), None]);
    assert_eq!(end, Ok(()));
}

#[tokio::test]
async fn reflection_shows_operators_alone_which_services_there_are() {
    let town = Town::new();
    let platform = town.shop();
    let mut assembly = assembly(&platform);
    assembly.allow = assembly.allow.allow("/userservice.UserService/GetUser", &["api-gateway"]);
    assembly.contracts = &[proto::DESCRIPTOR_SET];
    let service = assembly.bind(&platform).await.unwrap();
    let (_, ()) = with(service, async |addrs, shutdown| {
        let ask = async |caller| {
            let mut client = ServerReflectionClient::new(town.channel(caller, addrs.grpc).await);
            let question = Some(MessageRequest::ListServices(String::new()));
            let question = ServerReflectionRequest { host: String::new(), message_request: question };
            let mut answers = client.server_reflection_info(stream::iter([question])).await?.into_inner();
            answers.message().await
        };
        let refused = ask("order-service").await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let answer = ask("operator").await.unwrap().unwrap().message_response;
        let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("no list: {answer:?}") };
        let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
        names.sort();
        let expected = [
            "flotilla.operations.v1.OperationsService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "userservice.UserService",
        ];
        assert_eq!(names, expected);
        shutdown.cancel();
    })
    .await;
}
