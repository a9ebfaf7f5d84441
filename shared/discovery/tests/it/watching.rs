//! What is asked of an agent, and what becomes of answers that no agent should give.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use discovery::{CheckKind, ConsulConfig, Discover as _, Standing};
use runtime::Deadline;
use serde_json::{Value, json};
use tokio::time::Instant;
use types::ServiceName;

use crate::agent::{Agent, Asked, Says};
use crate::server::PATIENCE;
use crate::town::{endpoint, is_current, is_stale, standing, until};

const SHOP: ServiceName = ServiceName::new("shop-service");

/// An answer with instances by their last numbers.
fn shops(index: u64, last: &[u8]) -> Says {
    let entries: Vec<_> = last.iter().map(|last| entry(&format!("10.0.0.{last}"), 3000)).collect();
    Some((200, index, Value::from(entries).to_string()))
}

fn entry(address: &str, port: u16) -> Value {
    json!({
        "Node": { "Address": "10.0.0.99" },
        "Service": { "ID": format!("shop-{address}"), "Address": address, "Port": port, "Meta": { "grpc_port": "50051" } }
    })
}

fn index(asked: &Asked) -> Option<&str> {
    asked.line.split_once("&index=")?.1.split('&').next()
}

#[tokio::test]
async fn an_index_that_goes_backwards_is_of_a_catalogue_begun_anew_and_asked_for_without_waiting() {
    let told = [7, 9, 3, 0, 12];
    let mut agent = Agent::start(move |before, _| match told.get(before) {
        Some(&index) => shops(index, &[1]),
        None => None,
    })
    .await;
    let consul = agent.consul();
    let _watched = consul.watch(&SHOP);
    let asked = agent.asked::<6>("/v1/health/service/").await;
    let indices = asked.each_ref().map(index);
    assert_eq!(indices, [None, Some("7"), Some("9"), None, Some("1"), Some("12")]);
    assert_eq!(asked[0].line, "GET /v1/health/service/shop-service?passing=true&wait=10s");
}

#[tokio::test]
async fn a_catalogue_begun_anew_takes_nobody_away() {
    let mut agent = Agent::start(|before, _| match before {
        0 => shops(9, &[1, 2, 3]),
        1 => shops(3, &[2]),
        _ => None,
    })
    .await;
    let consul = agent.consul();
    let watched = consul.watch(&SHOP);
    agent.asked::<3>("/v1/health/").await;
    assert_eq!(**watched.borrow(), [1, 2, 3].map(endpoint));
}

#[tokio::test]
async fn a_watch_outlives_whatever_an_agent_answers() {
    let wrong = [
        Some((500, 1, "rpc error: No cluster leader".to_owned())),
        Some((200, 1, "[{]".to_owned())),
        Some((200, 1, "{}".to_owned())),
        Some((302, 1, String::new())),
    ];
    let mut agent = Agent::start(move |before, _| match wrong.get(before) {
        Some(wrong) => wrong.clone(),
        None if before == wrong.len() => shops(5, &[1]),
        None => None,
    })
    .await;
    let consul = agent.consul();
    let mut watched = consul.watch(&SHOP);
    agent.asked::<1>("/v1/health/").await;
    let unknown = |standing: &Standing| match standing {
        Standing::Unknown { why } => why.contains("500 Internal Server Error (rpc error: No cluster leader)"),
        _ => false,
    };
    standing(&consul, unknown).await;
    until(&mut watched, [1]).await;
    standing(&consul, is_current).await;
}

#[tokio::test]
async fn that_nobody_is_left_all_at_once_is_not_believed_at_once() {
    let mut agent = Agent::start(|before, _| match before {
        0 => shops(1, &[1, 2]),
        1 => shops(2, &[]),
        _ => None,
    })
    .await;
    let consul = agent.consul();
    let watched = consul.watch(&SHOP);
    agent.asked::<3>("/v1/health/").await;
    assert_eq!(**watched.borrow(), [endpoint(1), endpoint(2)]);
    assert!(is_current(&consul.standing().unwrap()));
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let agent = Agent::start(|_, _| Some((200, 1, " ".repeat(17 << 20)))).await;
    let consul = agent.consul();
    let _watched = consul.watch(&SHOP);
    let too_long = |standing: &Standing| match standing {
        Standing::Unknown { why } => why.ends_with("answered with more than 16777216 bytes"),
        _ => false,
    };
    standing(&consul, too_long).await;
}

#[tokio::test]
async fn an_index_is_forgotten_with_a_failure() {
    let mut agent = Agent::start(|before, _| match before {
        0 => shops(900, &[1]),
        1 => Some((500, 900, String::new())),
        _ => None,
    })
    .await;
    let consul = agent.consul();
    let mut watched = consul.watch(&SHOP);
    let asked = agent.asked::<3>("/v1/health/").await;
    assert_eq!(asked.each_ref().map(index), [None, Some("900"), None]);
    assert!(is_stale(&consul.standing().unwrap()));
    until(&mut watched, [1]).await;
}

#[tokio::test]
async fn an_instance_with_a_wrong_address_is_left_out_and_the_others_are_found() {
    let agent = Agent::start(|before, _| {
        let entries = [
            entry("shop.internal", 3000),
            entry("10.0.0.1", 3000),
            entry("10.0.0.2", 0),
            entry("0.0.0.0", 1),
        ];
        (before == 0).then(|| (200, 1, Value::from(entries.to_vec()).to_string()))
    })
    .await;
    let consul = agent.consul();
    until(&mut consul.watch(&SHOP), [1]).await;
}

#[tokio::test]
async fn a_catalogue_that_changes_all_the_time_is_not_asked_all_the_time() {
    let mut agent =
        Agent::start(|before, _| shops(before as u64 + 1, &[u8::try_from(before % 200).unwrap() + 1])).await;
    let consul = agent.consul();
    let _watched = consul.watch(&SHOP);
    let began = Instant::now();
    agent.asked::<5>("/v1/health/").await;
    assert!(began.elapsed() >= Duration::from_secs(2) - Duration::from_millis(50), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_watch_asks_for_its_tag_in_its_datacentre_as_whom_the_token_says() {
    let mut agent = Agent::start(|_, _| None).await;
    let consul = agent.consul_with(|config| ConsulConfig {
        datacenter: Some("east".to_owned()),
        tag: Some("blue".to_owned()),
        token: Some("secret".into()),
        ..config
    });
    let _watched = consul.watch(&SHOP);
    let [asked] = agent.asked("/v1/health/").await;
    assert_eq!(asked.line, "GET /v1/health/service/shop-service?passing=true&wait=10s&dc=east&tag=blue");
    assert!(asked.head.contains("x-consul-token: secret"), "{}", asked.head);
    assert!(!format!("{consul:?}").contains("secret"));
}

/// An agent that has forgotten every instance once it has been told of one; of later ones it knows for good.
fn forgetful() -> impl Fn(usize, &Asked) -> Says + Send + Sync {
    let forgets = AtomicBool::new(true);
    move |_, asked| {
        let asks = asked.line.starts_with("GET /v1/agent/service/");
        let status = if asks && forgets.swap(false, Ordering::Relaxed) { 404 } else { 200 };
        Some((status, 1, String::new()))
    }
}

#[tokio::test]
async fn an_instance_is_told_of_with_its_check_and_told_again_when_it_was_forgotten() {
    let mut agent = Agent::start(forgetful()).await;
    let consul = agent.consul_with(|config| ConsulConfig {
        tag: Some("blue".to_owned()),
        advertise: Some(Ipv4Addr::new(10, 0, 0, 7).into()),
        ..config
    });
    let everywhere = "0.0.0.0:9000".parse().unwrap();
    let registration = consul.register_checked(&SHOP, endpoint(1), Some(everywhere));
    let [first, again] = agent.asked("PUT /v1/agent/service/register?replace-existing-checks=true").await;
    let told: Value = serde_json::from_str(&first.body).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&told).unwrap(), @r#"
    {
      "Address": "10.0.0.7",
      "Check": {
        "CheckID": "shop-service-10.0.0.7-3000-check",
        "DeregisterCriticalServiceAfter": "600s",
        "HTTP": "http://10.0.0.7:9000/health/ready",
        "Interval": "2s",
        "Name": "ready",
        "Timeout": "1s"
      },
      "ID": "shop-service-10.0.0.7-3000",
      "Meta": {
        "flotilla_version": "0.1.0",
        "grpc_port": "50051"
      },
      "Name": "shop-service",
      "Port": 3000,
      "Tags": [
        "blue"
      ]
    }
    "#);
    assert_eq!(again.body, first.body);
    registration.withdraw(Deadline::within(PATIENCE)).await.unwrap();
    agent.asked::<1>("PUT /v1/agent/service/deregister/shop-service-10.0.0.7-3000").await;
    assert!(is_current(&consul.standing().unwrap()));
}

/// What an agent is told of a check, each time.
async fn verdicts<const N: usize>(agent: &mut Agent) -> [Value; N] {
    let told = agent.asked::<N>("PUT /v1/agent/check/update/shop-service-10.0.0.1-3000-check").await;
    told.map(|asked| serde_json::from_str(&asked.body).unwrap())
}

#[tokio::test]
async fn an_instance_that_has_to_say_itself_that_it_lives_says_so_at_once_and_again() {
    let mut agent = Agent::start(|_, _| Some((200, 1, String::new()))).await;
    let consul = agent.consul();
    let _registered = consul.register(&SHOP, endpoint(1));
    let [registered] = agent.asked("/v1/agent/service/register").await;
    assert_eq!(serde_json::from_str::<Value>(&registered.body).unwrap()["Check"]["TTL"], "15s");
    let alive = json!({ "Status": "passing", "Output": "it lives" });
    assert_eq!(verdicts(&mut agent).await, [alive.clone(), alive]);
}

#[tokio::test]
async fn an_agent_that_cannot_ask_is_told_what_an_instance_says_of_its_readiness_and_why() {
    let says = [(200, "ready"), (503, "database: away"), (429, "much to do"), (302, "elsewhere")];
    let mut instance = Agent::start(move |before, _| {
        let (status, why) = says.get(before)?;
        Some((*status, 1, (*why).to_owned()))
    })
    .await;
    let mut agent = Agent::start(|_, _| Some((200, 1, String::new()))).await;
    let consul = agent.consul_with(|config| ConsulConfig {
        check: CheckKind::Ttl,
        token: Some("secret".into()),
        ..config
    });
    let everywhere = ([0, 0, 0, 0], instance.port).into();
    let _registered = consul.register_checked(&SHOP, endpoint(1), Some(everywhere));
    let told: [_; 5] = verdicts(&mut agent).await;
    let told = told.map(|told| format!("{} {}", told["Status"], told["Output"]));
    let told = told.join("\n").replace(&instance.port.to_string(), "PORT");
    insta::assert_snapshot!(told, @r#"
    "passing" "200 OK: ready"
    "critical" "503 Service Unavailable: database: away"
    "warning" "429 Too Many Requests: much to do"
    "critical" "302 Found: elsewhere"
    "critical" "error sending request for url (http://127.0.0.1:PORT/health/ready): operation timed out"
    "#);
    let [asked] = instance.asked("GET /health/ready").await;
    assert!(!asked.head.contains("secret"), "{}", asked.head);
}

#[tokio::test]
async fn a_registration_that_was_dropped_is_taken_back() {
    let mut agent = Agent::start(|_, _| Some((200, 1, String::new()))).await;
    let consul = agent.consul();
    let registration = consul.register(&SHOP, endpoint(1));
    agent.asked::<1>("/v1/agent/service/register").await;
    drop(registration);
    agent.asked::<1>("/v1/agent/service/deregister/").await;
}

#[tokio::test]
async fn a_withdrawal_that_nobody_hears_takes_no_longer_than_it_may() {
    let mut agent = Agent::start(|_, asked| {
        let leaves = asked.line.contains("/deregister/");
        (!leaves).then(|| (200, 1, String::new()))
    })
    .await;
    let consul = agent.consul();
    let registration = consul.register(&SHOP, endpoint(1));
    agent.asked::<1>("/v1/agent/service/register").await;
    let within = Duration::from_millis(300);
    let began = Instant::now();
    assert!(registration.withdraw(Deadline::within(within)).await.is_err());
    assert!(began.elapsed() >= within);
}

#[tokio::test]
async fn a_withdrawal_that_is_given_up_is_not_waited_for() {
    let mut agent = Agent::start(|_, asked| {
        let status = if asked.line.contains("/deregister/") { 500 } else { 200 };
        Some((status, 1, String::new()))
    })
    .await;
    let consul = agent.consul();
    let registration = consul.register(&SHOP, endpoint(1));
    agent.asked::<1>("/v1/agent/service/register").await;
    let began = Instant::now();
    assert!(registration.withdraw(Deadline::within(PATIENCE)).await.is_err());
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
}
