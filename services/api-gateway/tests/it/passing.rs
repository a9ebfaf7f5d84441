use serde_json::json;

use crate::town::Town;

#[tokio::test(start_paused = true)]
async fn a_request_goes_to_the_service_of_its_path_and_the_answer_comes_back() {
    Town::tell(async |town| {
        let (claims, header) = town.somebody();
        let me = town.get("/users/me", &header).await;
        assert_eq!((me.status(), me.body), (200, claims.user.to_string()));
        let told = town.ask("POST", "/users/echo?a=1&b=%20", &header, "tea").await.json();
        assert_eq!(
            (&told["method"], &told["target"], &told["body"]),
            (&json!("POST"), &json!("/users/echo?a=1&b=%20"), &json!("tea"))
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_service_is_told_nothing_that_the_gateway_has_not_said_itself() {
    Town::tell(async |town| {
        let (_, header) = town.somebody();
        let lies = "x-user-id: 7\r\nx-user-role: operator\r\nx-forwarded-for: 203.0.113.9\r\nforwarded: for=203.0.113.9\r\n\
                    x-real-ip: 203.0.113.9\r\nflotilla-timeout-ms: 1\r\ngrpc-timeout: 1n\r\nx-request-id: mine\r\n\
                    traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
                    connection: x-secret\r\nx-secret: 1\r\nte: trailers\r\nx-original-url: /auth\r\naccept: text/plain\r\n";
        let reply = town.get("/users/echo", &format!("{header}{lies}")).await;
        let told = reply.json();
        assert_eq!(told["client"], "127.0.0.1");
        let headers: Vec<String> = serde_json::from_value(told["headers"].clone()).unwrap();
        let names: Vec<_> = headers.iter().map(|line| line.split(": ").next().unwrap()).collect();
        let expected = [
            "accept", "authorization", "flotilla-timeout-ms", "host", "traceparent", "x-forwarded-for",
            "x-forwarded-host", "x-forwarded-proto", "x-request-id",
        ];
        assert_eq!(names, expected);
        let line = |name: &str| headers.iter().find(|line| line.starts_with(name)).unwrap().clone();
        assert_eq!(line("x-request-id"), format!("x-request-id: {}", reply.header("x-request-id").unwrap()));
        assert_eq!(line("x-forwarded-host"), "x-forwarded-host: shop.example");
        assert_eq!(line("x-forwarded-proto"), "x-forwarded-proto: http");
        assert!(!line("traceparent").contains("0af7651916cd43dd8448eb211c80319c"), "a trace of our own");
        assert!(line("flotilla-timeout-ms").len() > "flotilla-timeout-ms: 1".len());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn on_a_route_for_the_public_no_token_goes_on() {
    Town::tell(async |town| {
        let (_, header) = town.somebody();
        let told = town.get("/auth/echo", &header).await.json();
        assert!(!told["headers"].to_string().contains("authorization"), "{told}");
        let forged = "authorization: Bearer x.y.z\r\n";
        assert_eq!(town.get("/auth/echo", forged).await.status(), 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_body_has_none_and_what_is_for_one_connection_stays_there() {
    Town::tell(async |town| {
        let (_, header) = town.somebody();
        for (method, status) in
            [("GET", 200), ("HEAD", 200), ("GET", 204), ("GET", 304), ("GET", 404), ("GET", 503)]
        {
            let mut visitor = town.visitor().await;
            visitor
                .send(format!("{method} /users/status/{status} HTTP/1.1\r\nhost: a\r\n{header}\r\n"))
                .await;
            let reply = visitor.reply_to(method).await;
            assert_eq!((reply.status(), reply.header("x-kept")), (status, Some("yes")), "{reply:?}");
            assert_eq!(reply.header("keep-alive"), None, "{reply:?}");
            // The connection goes on where it should.
            visitor.send(format!("GET /users/status/200 HTTP/1.1\r\nhost: a\r\n{header}\r\n")).await;
            assert_eq!(visitor.reply().await.body, "body");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn requests_are_measured_by_route_whatever_their_paths() {
    Town::tell(async |town| {
        let (_, header) = town.somebody();
        for path in ["/users/a", "/users/b", "/nothing/c"] {
            town.get(path, &header).await;
        }
        let metrics = town.metrics().await;
        assert!(metrics.contains(r#"http_route="/users""#), "{metrics}");
        assert!(!metrics.contains("/users/a") && !metrics.contains("/nothing"), "{metrics}");
    })
    .await;
}
