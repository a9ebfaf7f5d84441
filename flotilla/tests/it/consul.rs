//! The services as processes of their own, which find each other by Consul.

use std::net::SocketAddr;
use std::time::Duration;

use discovery::Discover as _;
use runtime::{Deadline, Env};
use serde_json::Value;
use tokio::time::interval;
use types::ServiceName;

use crate::admin;
use crate::agent::Agent;
use crate::processes::{Processes, SERVICES};
use crate::program::PATIENCE;
use crate::together::PASSWORD;
use crate::visitor::{Visitor, text};

/// All are to be known again within this of Consul's return.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn services_find_each_other_by_consul_go_on_without_it_and_are_not_ready_before_it_has_told_anything() {
    let Some(agent) = Agent::new().await else { return };
    let Some(mut processes) = Processes::start_with(agent.settings()).await else { return };
    let (env, visitor) = (Env::system(1), Visitor::of(processes.gateway()));
    are_found(&agent, PATIENCE).await;
    for name in SERVICES {
        until(&env, &processes, name, (200, "ok")).await;
    }
    have_keys(&visitor, "first@example.com").await;
    walk(&visitor, "ada@example.com").await;
    let (code, status, wrong) = processes.operator(&["operations", "status"]).await;
    assert_eq!((code, status.matches("discovery ok").count()), (Some(0), 3), "{status}{wrong}");

    agent.control("stop").await;
    for name in SERVICES {
        until(&env, &processes, name, (200, "stale")).await;
    }
    walk(&visitor, "bob@example.com").await;
    let (_, metrics) = admin::get(&env, processes.admin("user-service"), "/metrics").await;
    let age = metrics.lines().find_map(|line| line.strip_prefix("flotilla_discovery_age_seconds"));
    assert!(age.is_some_and(|age| !age.ends_with("-1")), "{metrics}");

    agent.control("wipe").await;
    agent.control("start").await;
    are_found(&agent, SOON).await;
    for name in SERVICES {
        until(&env, &processes, name, (200, "ok")).await;
    }
    walk(&visitor, "cleo@example.com").await;

    processes.end("user-service").await;
    let newcomer = agent.newcomer(&env);
    let mut others = newcomer.watch(&ServiceName::new("auth-service"));
    let gone = newcomer.watch(&ServiceName::new("user-service"));
    Deadline::within(PATIENCE).bound(others.wait_for(|all| !all.is_empty())).await.unwrap().unwrap();
    is_answered(&newcomer).await;
    assert!(gone.borrow().is_empty(), "{gone:?}");

    agent.control("stop").await;
    processes.run("user-service").await;
    until(&env, &processes, "user-service", (503, "failing")).await;
    agent.control("start").await;
    until(&env, &processes, "user-service", (200, "ok")).await;
    have_keys(&visitor, "second@example.com").await;
    walk(&visitor, "dora@example.com").await;
}

#[tokio::test]
async fn two_of_each_go_on_without_consul_leave_out_who_dies_meanwhile_and_are_all_known_again_when_it_is_back()
 {
    let Some(agent) = Agent::new().await else { return };
    let Some(first) = Processes::start_with(agent.settings()).await else { return };
    let mut second = first.twins().await;
    let env = Env::system(1);
    so_many_are_found(&agent, SERVICES.map(|name| (name, 2)), PATIENCE).await;
    for (processes, number) in [(&first, 1), (&second, 2)] {
        for name in SERVICES {
            until(&env, processes, name, (200, "ok")).await;
        }
        have_keys(&Visitor::of(processes.gateway()), &format!("first-{number}@example.com")).await;
    }
    let visitor = Visitor::of(first.gateway());
    let load = Load::begin(&visitor, "ada@example.com").await;

    let script = async {
        agent.control("stop").await;
        for name in SERVICES {
            until(&env, &first, name, (200, "stale")).await;
        }
        let [dead, _] = second.apis("user-service");
        second.kill("user-service").await;
        is_left_out(&first, dead).await;
        walk(&visitor, "bob@example.com").await;

        agent.control("wipe").await;
        agent.control("start").await;
        let alive = [("user-service", 1), ("auth-service", 2), ("api-gateway", 2)];
        so_many_are_found(&agent, alive, SOON).await;
        second.run("user-service").await;
        so_many_are_found(&agent, SERVICES.map(|name| (name, 2)), PATIENCE).await;
        walk(&visitor, "cleo@example.com").await;
    };
    let failed = load.beside(script).await;
    assert!(failed.is_empty(), "{failed:?}");
}

/// Somebody who reads her profile again and again.
struct Load {
    visitor: Visitor,
    token: String,
}

impl Load {
    /// Enough to notice what fails, and well within what one user may ask for.
    const EVERY: Duration = Duration::from_millis(200);

    async fn begin(visitor: &Visitor, email: &str) -> Self {
        assert_eq!(visitor.register(email).await.unwrap().0, 201);
        let tokens = visitor.log_in(email, PASSWORD).await.unwrap().1;
        Self { visitor: visitor.clone(), token: text(&tokens, "access_token").to_owned() }
    }

    /// Goes on while `script` does. Tells what was answered other than well.
    async fn beside(self, script: impl Future<Output = ()>) -> Vec<(u16, Value)> {
        let (mut failed, mut moments) = (Vec::new(), interval(Self::EVERY));
        let reads = async {
            loop {
                moments.tick().await;
                let answer = self.visitor.me(&self.token).await.unwrap();
                failed.extend(Some(answer).filter(|(status, _)| *status != 200));
            }
        };
        tokio::select! {
            () = script => {}
            never = reads => never,
        }
        failed
    }
}

/// Waits until the gateway sends nothing more to the user-service at `dead`.
async fn is_left_out(processes: &Processes, dead: SocketAddr) {
    let [_, gateway] = processes.apis("api-gateway");
    let (gateway, deadline) = (format!("api-gateway={gateway}"), Deadline::within(PATIENCE));
    loop {
        let status = processes.operator(&["operations", "status", "--endpoint", &gateway]).await;
        assert_eq!(status.0, Some(0), "{status:?}");
        assert!(status.1.contains("discovery stale: "), "{status:?}");
        let shown = status.1.split_once(&dead.to_string()).map(|(_, rest)| rest);
        if shown.is_some_and(|rest| !rest.trim_start().starts_with("closed")) {
            return;
        }
        assert!(!deadline.has_passed(), "{status:?}");
    }
}

/// Somebody registers, logs in and reads her profile.
async fn walk(visitor: &Visitor, email: &str) {
    let (status, registered) = visitor.register(email).await.unwrap();
    assert_eq!(status, 201, "{registered}");
    let (status, tokens) = visitor.log_in(email, PASSWORD).await.unwrap();
    assert_eq!(status, 200, "{tokens}");
    let (status, me) = visitor.me(text(&tokens, "access_token")).await.unwrap();
    assert_eq!((status, text(&me, "email")), (200, email));
}

/// Waits until all have the keys that access tokens are checked with, which they ask auth-service for.
async fn have_keys(visitor: &Visitor, email: &str) {
    assert_eq!(visitor.register(email).await.unwrap().0, 201);
    let tokens = visitor.log_in(email, PASSWORD).await.unwrap().1;
    let asked = async { while visitor.me(text(&tokens, "access_token")).await.unwrap().0 == 503 {} };
    Deadline::within(PATIENCE).bound(asked).await.expect("the keys arrive");
}

/// Waits until somebody new finds all the services.
async fn are_found(agent: &Agent, within: Duration) {
    so_many_are_found(agent, SERVICES.map(|name| (name, 1)), within).await;
}

/// The same with so many instances of each.
async fn so_many_are_found(agent: &Agent, wanted: [(&'static str, usize); 3], within: Duration) {
    let (deadline, newcomer) = (Deadline::within(within), agent.newcomer(&Env::system(1)));
    for (name, count) in wanted {
        let mut told = newcomer.watch(&ServiceName::new(name));
        let found = deadline.bound(told.wait_for(|endpoints| endpoints.len() == count)).await;
        let found = found.map(drop);
        assert!(found.is_ok(), "{:?} of {count} of {name} within {within:?}", told.borrow());
    }
}

/// Waits until whatever is watched has been answered about.
async fn is_answered(newcomer: &discovery::Consul) {
    let (deadline, mut moments) = (Deadline::within(PATIENCE), interval(Duration::from_millis(10)));
    while !matches!(newcomer.standing(), Some(discovery::Standing::Current { .. })) {
        moments.tick().await;
        assert!(!deadline.has_passed(), "{:?}", newcomer.standing());
    }
}

/// Waits until a service answers for its readiness with the status, and says so of discovery.
async fn until(env: &Env, processes: &Processes, name: &str, wanted: (u16, &str)) {
    let (deadline, mut moments) = (Deadline::within(PATIENCE), interval(Duration::from_millis(50)));
    loop {
        moments.tick().await;
        let (status, body) = admin::get(env, processes.admin(name), "/health/ready").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        if (status, body["checks"]["discovery"]["status"].as_str()) == (wanted.0, Some(wanted.1)) {
            return;
        }
        assert!(!deadline.has_passed(), "{name}: {status} {body}");
    }
}
