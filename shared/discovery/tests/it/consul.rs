//! The real Consul: what it does to what registers and watches.

use std::sync::Arc;
use std::time::Duration;

use discovery::{CheckKind, Consul, ConsulConfig, Credentials, Discover as _, Endpoint, Reread, Standing};
use futures_util::{StreamExt as _, stream};
use runtime::{Deadline, Env};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, interval};
use types::ServiceName;

use crate::server::{PATIENCE, Server, Spare};
use crate::town::{endpoint, is_current, is_stale, service, standing, until};

/// All are to be known again within this of the agent's return.
const SOON: Duration = Duration::from_secs(10);

fn consul(env: &Env, server: &Server) -> Consul {
    Consul::new(env, ConsulConfig::at(&server.host, server.port)).unwrap()
}

/// What a service's admin listener says of its readiness, as a status.
async fn ready(env: &Env) -> (std::net::SocketAddr, watch::Sender<u16>) {
    let mut listener = env.net.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (addr, (tell, status)) = (listener.local_addr().unwrap(), watch::channel(200));
    env.tasks.spawn("admin", async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut head = [0; 1024];
            let read = connection.read(&mut head).await.unwrap_or(0);
            let asks = head[..read].starts_with(b"GET /health/ready ");
            let status = if asks { *status.borrow() } else { 404 };
            let told = format!("HTTP/1.1 {status} it\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            connection.write_all(told.as_bytes()).await.unwrap_or_default();
        }
    });
    (addr, tell)
}

#[tokio::test]
async fn an_instance_is_found_while_it_says_that_it_is_ready() {
    found_while_ready(CheckKind::Http).await;
}

#[tokio::test]
async fn an_instance_that_consul_cannot_reach_is_found_while_it_says_that_it_is_ready() {
    found_while_ready(CheckKind::Ttl).await;
}

async fn found_while_ready(check: CheckKind) {
    let Some(server) = Server::open() else { return };
    let env = Env::system(1);
    let config = ConsulConfig { check, ..ConsulConfig::at(&server.host, server.port) };
    let (consul, shop) = (Consul::new(&env, config).unwrap(), service(&env, "shop"));
    let (admin, tell) = ready(&env).await;
    let mut told = consul.watch(&shop);
    let _registered = consul.register_checked(&shop, endpoint(1), Some(admin));
    let _steady = consul.register(&shop, endpoint(2));
    until(&mut told, [1, 2]).await;
    tell.send_replace(503);
    until(&mut told, [2]).await;
    tell.send_replace(200);
    until(&mut told, [1, 2]).await;
}

#[tokio::test]
async fn only_instances_with_the_tag_are_found() {
    let Some(server) = Server::open() else { return };
    let env = Env::system(1);
    let shop = service(&env, "shop");
    let tagged = |tag: &str| {
        let tag = Some(tag.to_owned());
        Consul::new(&env, ConsulConfig { tag, ..ConsulConfig::at(&server.host, server.port) }).unwrap()
    };
    let (blue, green) = (tagged("blue"), tagged("green"));
    let _blue = blue.register(&shop, endpoint(1));
    let _green = green.register(&shop, endpoint(2));
    until(&mut consul(&env, &server).watch(&shop), [1, 2]).await;
    until(&mut blue.watch(&shop), [1]).await;
    until(&mut green.watch(&shop), [2]).await;
}

#[tokio::test]
async fn instances_are_found_in_their_datacentre_and_one_that_there_is_not_is_told_with_its_setting() {
    let Some(server) = Server::open() else { return };
    let env = Env::system(1);
    let shop = service(&env, "shop");
    let at = |name: &str| {
        let datacenter = Some(name.to_owned());
        Consul::new(&env, ConsulConfig { datacenter, ..ConsulConfig::at(&server.host, server.port) }).unwrap()
    };
    let (right, wrong) = (at("dc1"), at("elsewhere"));
    let _registered = right.register(&shop, endpoint(1));
    until(&mut right.watch(&shop), [1]).await;
    let _watched = wrong.watch(&shop);
    let named = r#"CONSUL_DATACENTER is "elsewhere", must be a datacentre that the agent knows: dc1"#;
    standing(&wrong, |standing| matches!(standing, Standing::Unknown { why } if why.ends_with(named))).await;
}

#[tokio::test]
async fn whoever_is_put_in_maintenance_is_left_out_and_the_last_of_all_not_at_once() {
    let Some(server) = Server::open() else { return };
    let env = Env::system(1);
    let (consul, shop) = (consul(&env, &server), service(&env, "shop"));
    let _registered = [1, 2].map(|last| consul.register(&shop, endpoint(last)));
    let mut told = consul.watch(&shop);
    until(&mut told, [1, 2]).await;
    let maintain = async |last: u8, is_on: bool| {
        let path = format!("/v1/agent/service/maintenance/{shop}-10.0.0.{last}-3000?enable={is_on}");
        server.put(&path, "").await;
    };
    // One that comes and goes is followed each time.
    for _ in 0..3 {
        maintain(1, true).await;
        until(&mut told, [2]).await;
        maintain(1, false).await;
        until(&mut told, [1, 2]).await;
    }
    maintain(1, true).await;
    until(&mut told, [2]).await;
    maintain(2, true).await;
    // Somebody new is told of nobody.
    let newcomer = Consul::new(&env, ConsulConfig::at(&server.host, server.port)).unwrap();
    let nobody = newcomer.watch(&shop);
    standing(&newcomer, is_current).await;
    assert!(nobody.borrow().is_empty(), "{nobody:?}");
    assert_eq!(**told.borrow(), [endpoint(2)], "it is not believed yet");
    for last in [1, 2] {
        maintain(last, false).await;
    }
    until(&mut told, [1, 2]).await;
}

#[tokio::test]
async fn an_instance_that_somebody_else_deregisters_is_left_out_until_it_has_registered_again() {
    let Some(server) = Server::open() else { return };
    let env = Env::system(1);
    let (consul, shop) = (consul(&env, &server), service(&env, "shop"));
    let _registered = [1, 2].map(|last| consul.register(&shop, endpoint(last)));
    let mut told = consul.watch(&shop);
    until(&mut told, [1, 2]).await;
    server.put(&format!("/v1/agent/service/deregister/{shop}-10.0.0.1-3000"), "").await;
    until(&mut told, [2]).await;
    until(&mut told, [1, 2]).await;
}

/// Consul forgets nobody sooner than after a minute, and looks only every half minute whether it is to.
#[test]
#[ignore = "takes two minutes, which Consul does not let one shorten: cargo test -p discovery -- --ignored"]
fn an_instance_that_was_killed_is_forgotten_after_a_while() {
    let Some(server) = Server::open() else { return };
    let forgotten_after = ConsulConfig::LEAST_FORGOTTEN_AFTER;
    let config = ConsulConfig { forgotten_after, ..ConsulConfig::at(&server.host, server.port) };
    let process = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let killed = process();
    // What is left outlives it: its end is not one in order.
    let (id, _left) = killed.block_on(async {
        let env = Env::system(1);
        let (consul, shop) = (Consul::new(&env, config).unwrap(), service(&env, "shop"));
        let (admin, tell) = ready(&env).await;
        let registered = consul.register_checked(&shop, endpoint(1), Some(admin));
        until(&mut consul.watch(&shop), [1]).await;
        (format!("{shop}-10.0.0.1-3000"), (registered, tell))
    });
    drop(killed);
    process().block_on(async {
        let (began, mut moments) = (Instant::now(), interval(Duration::from_secs(1)));
        while server.status("GET", &format!("/v1/agent/service/{id}"), "").await == 200 {
            assert!(began.elapsed() < 3 * forgotten_after);
            moments.tick().await;
        }
        assert!(began.elapsed() >= forgotten_after, "{:?}", began.elapsed());
    });
}

#[tokio::test]
async fn a_thousand_instances_are_found_and_followed() {
    let Some(server) = Server::open() else { return };
    let env = Env::system(1);
    let (consul, shop) = (consul(&env, &server), service(&env, "shop"));
    let (server, of_shop) = (&server, &shop);
    let put = |path: &'static str, number: u16| async move {
        let [high, low] = number.to_be_bytes();
        let (node, id) = (format!("{of_shop}-node-{number}"), format!("{of_shop}-{number}"));
        let address = format!("10.1.{high}.{low}");
        let service =
            json!({ "ID": id, "Service": of_shop.as_str(), "Port": 3000, "Meta": { "grpc_port": "50051" } });
        let body = match path {
            "/v1/catalog/register" => json!({ "Node": node, "Address": address, "Service": service }),
            _ => json!({ "Node": node }),
        };
        server.put(path, &body.to_string()).await;
    };
    const AT_ONCE: usize = 32;
    stream::iter(0..1_000).for_each_concurrent(AT_ONCE, |number| put("/v1/catalog/register", number)).await;
    let mut told = consul.watch(&shop);
    let all = Deadline::within(PATIENCE).bound(told.wait_for(|all| all.len() == 1_000)).await;
    all.unwrap().unwrap();
    put("/v1/catalog/deregister", 500).await;
    let fewer = Deadline::within(PATIENCE).bound(told.wait_for(|all| all.len() == 999)).await;
    assert!(!fewer.unwrap().unwrap().iter().any(|at: &Endpoint| at.http.ip().to_string() == "10.1.1.244"));
    stream::iter(0..1_000).for_each_concurrent(AT_ONCE, |number| put("/v1/catalog/deregister", number)).await;
}

#[tokio::test]
async fn nobody_is_told_anything_without_the_token_and_everything_is_tried_on_until_it_is_right() {
    let Some(spare) = Spare::take().await else { return };
    let env = Env::system(1);
    let shop = service(&env, "shop");
    let stranger = Consul::new(&env, ConsulConfig { token: None, ..spare.config() }).unwrap();
    let _registered = stranger.register(&shop, endpoint(1));
    let refused = |standing: &Standing| matches!(standing, Standing::Unknown { why } if why.contains("403 Forbidden") && why.contains("CONSUL_TOKEN"));
    standing(&stranger, refused).await;

    let known = Consul::new(&env, spare.config()).unwrap();
    let mut told = known.watch(&shop);
    let _registered = known.register(&shop, endpoint(2));
    until(&mut told, [2]).await;
    let said = stranger.standing().unwrap();
    assert!(refused(&said), "{said:?}");
}

#[tokio::test]
async fn an_agent_is_believed_over_tls_alone_by_whom_its_certificate_comes_from() {
    let Some(spare) = Spare::take().await else { return };
    let env = Env::system(1);
    let shop = service(&env, "shop");
    let consul = Consul::new(&env, spare.config_with_tls()).unwrap();
    let _registered = consul.register(&shop, endpoint(1));
    until(&mut consul.watch(&shop), [1]).await;

    let other = ConsulConfig { tls: Some(spare.other_authority()), ..spare.config_with_tls() };
    let doubting = Consul::new(&env, other).unwrap();
    let mut told = doubting.watch(&shop);
    let unknown =
        |standing: &Standing| matches!(standing, Standing::Unknown { why } if why.contains("certificate"));
    standing(&doubting, unknown).await;
    assert!(told.borrow_and_update().is_empty());
}

#[tokio::test]
async fn a_token_or_an_authority_that_has_changed_is_taken_without_a_restart() {
    let Some(spare) = Spare::take().await else { return };
    let env = Env::system(1);
    let right = spare.config_with_tls();
    let new = Credentials { token: right.token.clone(), tls: right.tls.clone() };
    let old_token = Credentials { token: Some("00000000-0000-0000-0000-000000000000".into()), ..new.clone() };
    let old_authority = Credentials { tls: Some(spare.other_authority()), ..new.clone() };
    for old in [old_token, old_authority] {
        let (change, current) = watch::channel(old.clone());
        let reread = Some(Reread::new(move || Some(current.borrow().clone())));
        let Credentials { token, tls } = old;
        let consul = Consul::new(&env, ConsulConfig { token, tls, reread, ..right.clone() }).unwrap();
        let shop = service(&env, "shop");
        let mut told = consul.watch(&shop);
        let _registered = consul.register(&shop, endpoint(1));
        let fails =
            |standing: &Standing| matches!(standing, Standing::Unknown { why } if !why.contains("yet"));
        standing(&consul, fails).await;
        change.send_replace(new.clone());
        until(&mut told, [1]).await;
        standing(&consul, is_current).await;
    }
}

/// A shop of three, one of which watches. Consul asks two of them whether they are ready; one says so itself.
struct Shop {
    name: ServiceName,
    consul: Arc<Consul>,
    told: watch::Receiver<discovery::Endpoints>,
    _registered: [discovery::Registration; 3],
    _admins: [watch::Sender<u16>; 2],
}

const ALL: [u8; 3] = [1, 2, 3];

impl Shop {
    async fn open(env: &Env, spare: &Spare) -> Self {
        let (consul, shop) = (Arc::new(Consul::new(env, spare.config()).unwrap()), service(env, "shop"));
        let (first, second) = (ready(env).await, ready(env).await);
        let registered = [(1, Some(first.0)), (2, Some(second.0)), (3, None)]
            .map(|(last, health)| consul.register_checked(&shop, endpoint(last), health));
        let mut told = consul.watch(&shop);
        until(&mut told, ALL).await;
        standing(&*consul, is_current).await;
        Self { name: shop, consul, told, _registered: registered, _admins: [first.1, second.1] }
    }

    /// Does `work`, in which nobody is taken away.
    async fn stays_whole_through(&self, work: impl Future<Output = ()>) {
        let mut told = self.told.clone();
        tokio::select! {
            () = work => {}
            fewer = told.wait_for(|all| !all.iter().copied().eq(ALL.map(endpoint))) => panic!("{fewer:?}"),
        }
    }

    /// Waits until the registry knows all again, as one learns who knows nothing of before.
    async fn is_known(&self, spare: &Spare) {
        standing(&*self.consul, is_current).await;
        let newcomer = Consul::new(&Env::system(1), spare.config()).unwrap();
        until(&mut newcomer.watch(&self.name), ALL).await;
    }

    /// The same, soon.
    async fn is_known_soon(&self, spare: &Spare) {
        let began = Instant::now();
        self.is_known(spare).await;
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn all_stay_while_consul_is_away_and_while_it_comes_back_which_is_soon() {
    let Some(spare) = Spare::take().await else { return };
    let shop = Shop::open(&Env::system(1), &spare).await;
    for (away, back) in [("stop", "start"), ("kill", "start"), ("pause", "resume")] {
        let outage = async {
            spare.control(away).await;
            standing(&*shop.consul, is_stale).await;
            spare.control(back).await;
            shop.is_known_soon(&spare).await;
        };
        shop.stays_whole_through(outage).await;
    }
}

#[tokio::test]
async fn a_consul_that_was_wiped_is_told_of_everybody_again_and_takes_nobody_away() {
    let Some(spare) = Spare::take().await else { return };
    let shop = Shop::open(&Env::system(1), &spare).await;
    let outage = async {
        spare.control("wipe").await;
        standing(&*shop.consul, is_stale).await;
        spare.control("start").await;
        shop.is_known_soon(&spare).await;
    };
    shop.stays_whole_through(outage).await;
}
