use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use crate::issuer::Issuer;
use crate::town::{Site, Town};

#[tokio::test(start_paused = true)]
async fn an_address_that_asks_too_often_is_told_when_to_come_back_before_its_token_is_looked_at() {
    let vars = [("LIMIT_LOOPBACK", "true"), ("ADDRESS_RATE", "1"), ("ADDRESS_BURST", "60")];
    Town::with(&vars, async |town| {
        let mut refused = town.get("/users/echo", "authorization: Bearer x\r\n").await;
        for _ in 0..100 {
            if refused.status() == 429 {
                break;
            }
            refused = town.get("/users/echo", "authorization: Bearer x\r\n").await;
        }
        assert_eq!((refused.problem().0, refused.header("retry-after")), (429, Some("1")));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn behind_a_proxy_each_client_has_a_limit_and_an_address_of_its_own() {
    let vars = [("TRUSTED_PROXIES", "127.0.0.1"), ("ADDRESS_RATE", "1"), ("ADDRESS_BURST", "60")];
    Town::with(&vars, async |town| {
        let (_, header) = town.somebody();
        let from = async |client: &str| {
            let told = format!("{header}x-forwarded-for: 198.51.100.1, {client}\r\n");
            town.get("/users/echo", &told).await
        };
        assert_eq!(from("203.0.113.9").await.json()["client"], "203.0.113.9");
        let mut refused = 0;
        for _ in 0..100 {
            refused += u32::from(from("203.0.113.9").await.status() == 429);
        }
        assert!((35..=41).contains(&refused), "{refused} of 100");
        assert_eq!(from("203.0.113.10").await.status(), 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_address_has_only_so_many_requests_under_way_and_others_are_answered_meanwhile() {
    let vars = [("TRUSTED_PROXIES", "127.0.0.1"), ("ADDRESS_IN_FLIGHT", "3")];
    Town::with(&vars, async |town| {
        let (_, header) = town.somebody();
        let ask = async |client: &str| {
            town.get("/users/echo", &format!("{header}x-forwarded-for: {client}\r\n")).await
        };
        let mut slow = Vec::new();
        for _ in 0..3 {
            let mut visitor = town.visitor().await;
            let head =
                format!("POST /users/echo HTTP/1.1\r\nhost: a\r\n{header}x-forwarded-for: 203.0.113.9\r\n");
            visitor.send(format!("{head}content-length: 3\r\n\r\nt")).await;
            slow.push(visitor);
        }
        sleep(Duration::from_millis(100)).await;
        let refused = ask("203.0.113.9").await;
        assert_eq!(refused.problem(), (429, "too many requests of this address are under way".to_owned()));
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!(ask("203.0.113.10").await.status(), 200);
        for visitor in &mut slow {
            visitor.send("ea").await;
            assert_eq!(visitor.reply().await.status(), 200);
        }
        assert_eq!(ask("203.0.113.9").await.status(), 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_user_who_asks_too_often_is_limited_whatever_others_do() {
    let vars = [("LIMIT_LOOPBACK", "true"), ("USER_RATE", "1"), ("USER_BURST", "3")];
    Town::with(&vars, async |town| {
        let ((_, busy), (_, other)) = (town.somebody(), town.somebody());
        let mut told = Vec::new();
        for _ in 0..5 {
            told.push(town.get("/users/echo", &busy).await.status());
        }
        assert_eq!(told, [200, 200, 200, 429, 429]);
        assert_eq!(town.get("/users/echo", &other).await.status(), 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_tries_the_platform_on_the_own_machine_is_not_limited() {
    Town::tell(async |town| {
        let (_, header) = town.somebody();
        let mut visitor = town.visitor().await;
        for _ in 0..3_000 {
            visitor.send(format!("GET /users/status/204 HTTP/1.1\r\nhost: a\r\n{header}\r\n")).await;
            assert_eq!(visitor.reply().await.status(), 204);
        }
    })
    .await;
}

#[tokio::test]
async fn many_at_once_over_real_sockets_are_all_answered() {
    const VISITORS: usize = 150;
    Town::found(Site::on_loopback(), Issuer::new(), &[], async |town| {
        town.until_ready().await;
        let (_, header) = town.somebody();
        let asking = (0..VISITORS).map(async |_| {
            let mut visitor = town.visitor().await;
            for _ in 0..20 {
                visitor.send(format!("GET /users/status/204 HTTP/1.1\r\nhost: a\r\n{header}\r\n")).await;
                let reply = visitor.reply().await;
                assert_eq!(reply.status(), 204, "{reply:?}");
            }
        });
        join_all(asking).await;
    })
    .await;
}
