use crate::town::Town;

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
