use crate::town::Town;

#[tokio::test(start_paused = true)]
async fn the_first_part_of_a_body_arrives_before_the_last_is_sent() {
    Town::tell(async |town| {
        let (_, header) = town.somebody();
        let mut visitor = town.visitor().await;
        visitor
            .send(format!("POST /users/upload HTTP/1.1\r\nhost: a\r\n{header}transfer-encoding: chunked\r\n\r\n3\r\none\r\n"))
            .await;
        assert_eq!(town.shop.hears().await, "one");
        visitor.send("3\r\ntwo\r\n0\r\n\r\n").await;
        assert_eq!(town.shop.hears().await, "two");
        assert_eq!(visitor.reply().await.body, "6");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_first_part_of_an_answer_arrives_before_the_last_is_there() {
    Town::tell(async |town| {
        let (_, header) = town.somebody();
        let mut visitor = town.visitor().await;
        visitor.send(format!("GET /users/stream HTTP/1.1\r\nhost: a\r\n{header}\r\n")).await;
        visitor.head().await;
        town.shop.says("first").await;
        visitor.until("first").await;
        town.shop.says("second").await;
        visitor.until("second").await;
        drop(visitor);
        town.shop.says("to nobody").await;
        town.shop.is_left().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_routes_limit_is_refused_by_its_length_and_while_it_comes() {
    let routes = [("ROUTES", "/users user user-service body=8B, /auth public auth-service")];
    Town::with(&routes, async |town| {
        let (_, header) = town.somebody();
        let told = town.ask("POST", "/users/echo", &header, "123456789").await;
        assert_eq!(told.problem().0, 413);
        let mut visitor = town.visitor().await;
        visitor
            .send(format!(
                "POST /users/upload HTTP/1.1\r\nhost: a\r\n{header}transfer-encoding: chunked\r\n\r\n4\r\n1234\r\n"
            ))
            .await;
        assert_eq!(town.shop.hears().await, "1234");
        visitor.send("5\r\n56789\r\n0\r\n\r\n").await;
        assert_eq!(visitor.reply().await.problem().0, 413);
        assert_eq!(town.ask("POST", "/users/echo", &header, "12345678").await.json()["body"], "12345678");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_first_is_told_to_go_on_once_somebody_reads_and_else_only_why_not() {
    Town::tell(async |town| {
        let (_, header) = town.somebody();
        let asking = "content-length: 3\r\nexpect: 100-continue\r\n\r\n";
        let mut visitor = town.visitor().await;
        visitor.send(format!("POST /users/echo HTTP/1.1\r\nhost: a\r\n{header}{asking}")).await;
        assert_eq!(visitor.head().await, "HTTP/1.1 100 Continue");
        visitor.send("tea").await;
        assert_eq!(visitor.reply().await.json()["body"], "tea");

        let mut stranger = town.visitor().await;
        stranger.send(format!("POST /users/echo HTTP/1.1\r\nhost: a\r\n{asking}")).await;
        assert_eq!(stranger.reply().await.problem().0, 401);
    })
    .await;
}
