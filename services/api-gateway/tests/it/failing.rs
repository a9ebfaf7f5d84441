use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::issuer::Issuer;
use crate::town::{Site, Town};

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_answer_is_waited_for_as_long_as_its_route_says() {
    let routes = [("ROUTES", "/users user user-service timeout=2s, /auth public auth-service")];
    Town::with(&routes, async |town| {
        let (_, header) = town.somebody();
        let began = Instant::now();
        let late = town.get("/users/stuck", &header).await;
        assert_eq!(late.problem().0, 504);
        assert!((2..3).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        town.shop.is_left().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_client_leaves_is_given_up_at_the_service_too() {
    Town::tell(async |town| {
        let (_, header) = town.somebody();
        let mut visitor = town.visitor().await;
        visitor.send(format!("GET /users/stuck HTTP/1.1\r\nhost: a\r\n{header}\r\n")).await;
        town.shop.is_reached().await;
        drop(visitor);
        town.shop.is_left().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_away_costs_its_own_paths_only() {
    Town::tell(async |town| {
        let (_, header) = town.somebody();
        town.shop_ends.cancel();
        let away = async { town.get("/users/echo", &header).await };
        let mut reply = away.await;
        while reply.status() == 200 {
            reply = town.get("/users/echo", &header).await;
        }
        assert_eq!((reply.problem().0, reply.header("retry-after")), (503, Some("1")));
        assert_eq!(town.get("/auth/echo", "").await.status(), 200);
        let mut reply = town.get("/health", "").await;
        while reply.json()["services"]["user-service"] == "ok" {
            sleep(Duration::from_millis(100)).await;
            reply = town.get("/health", "").await;
        }
        assert_eq!(reply.status(), 200, "it serves all else");
        let told = reply.json();
        let auth_service = &told["services"]["auth-service"];
        assert_eq!((&told["status"], auth_service), (&json!("degraded"), &json!("ok")), "{told}");
        assert!(!told.to_string().contains("127.0.0.1"), "no addresses: {told}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn how_the_platform_is_is_told_to_anybody_who_asks_by_get_or_head_and_kept_by_nobody() {
    Town::tell(async |town| {
        let told = town.get("/health", "").await;
        assert_eq!((told.status(), told.header("cache-control")), (200, Some("no-store")));
        let services = json!({"auth-service": "ok", "user-service": "ok"});
        assert_eq!(told.json(), json!({"status": "ok", "services": services}));
        let mut visitor = town.visitor().await;
        visitor.send("HEAD /health HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(visitor.reply_to("HEAD").await.status(), 200);
        let refused = town.ask("POST", "/health", "", "{}").await;
        assert_eq!((refused.problem().0, refused.header("allow")), (405, Some("GET, HEAD")));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_route_takes_up_no_more_of_its_service_than_its_own_bulkhead_lets_it() {
    let routes = [(
        "ROUTES",
        "/users/stuck user user-service timeout=2s at-once=1, /users user user-service, /auth public auth-service",
    )];
    Town::with(&routes, async |town| {
        let (_, header) = town.somebody();
        let stuck = async || town.get("/users/stuck", &header).await.problem().0;
        let other = async {
            town.shop.is_reached().await;
            let began = Instant::now();
            let status = town.get("/users/echo", &header).await.status();
            (status, began.elapsed())
        };
        let (first, second, other) = tokio::join!(stuck(), stuck(), other);
        let mut statuses = [first, second];
        statuses.sort_unstable();
        assert_eq!(statuses, [503, 504], "one had its turn, the other certainly did nothing");
        assert_eq!(other, (200, Duration::ZERO));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_gateway_waits_for_those_that_it_leads_to_and_not_for_ever_for_one_that_is_dead() {
    let routes =
        [("ROUTES", "/orders user order-service, /users user user-service, /auth public auth-service")];
    Town::found(Site::in_memory(), Issuer::new(), &routes, async |town| {
        let began = Instant::now();
        let mut ready = town.admin("/health/ready").await;
        assert_eq!(ready.status(), 503);
        while ready.status() != 200 {
            sleep(Duration::from_millis(100)).await;
            ready = town.admin("/health/ready").await;
        }
        let waited = began.elapsed().as_secs();
        assert!((9..13).contains(&waited), "{waited} s");
        let (_, header) = town.somebody();
        assert_eq!(town.get("/users/echo", &header).await.status(), 200);
        assert_eq!(town.get("/orders", &header).await.problem().0, 503);
    })
    .await;

    Town::tell(async |town| while town.admin("/health/ready").await.status() != 200 {}).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_service_has_no_room_for_is_refused_here_and_all_else_is_not() {
    let routes = "/users/crowded public user-service, /users user user-service, /auth public auth-service";
    Town::with(&[("ROUTES", routes)], async |town| {
        let refused_here = async || {
            let metrics = town.metrics().await;
            let mut lines = metrics.lines().filter(|line| line.starts_with("flotilla_requests_shed_total"));
            lines.find_map(|line| line.rsplit_once(' ')?.1.parse::<u32>().ok()).unwrap_or_default()
        };
        let crowd = async |count: u32| {
            for _ in 0..count {
                sleep(Duration::from_millis(5)).await;
                let reply = town.ask("POST", "/users/crowded", "", "me").await;
                assert!(reply.status() == 200 || reply.header("retry-after") == Some("1"), "{reply:?}");
            }
        };
        crowd(1_000).await;
        let before = refused_here().await;
        crowd(1_000).await;
        let refused = refused_here().await - before;
        assert!((750..1_000).contains(&refused), "{refused} of 1,000 went no further");
        assert_eq!(town.get("/users/echo", "").await.status(), 401, "nobody is kept from anything else");
        assert_eq!(town.get("/auth/echo", "").await.status(), 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_outlasts_the_refusal_of_a_request_that_has_come_whole() {
    Town::tell(async |town| {
        let mut visitor = town.visitor().await;
        for _ in 0..3 {
            visitor
                .send("POST /users/echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello".to_owned())
                .await;
            let refused = visitor.reply().await;
            assert_eq!((refused.status(), refused.header("connection")), (401, None));
        }
        visitor.send("POST /users/echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel".to_owned()).await;
        let refused = visitor.reply().await;
        assert_eq!(
            (refused.status(), refused.header("connection")),
            (401, Some("close")),
            "more of it is not waited for"
        );
    })
    .await;
}
