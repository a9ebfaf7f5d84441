use service_auth::Claims;
use types::Role;

use crate::town::{Town, bearer};

#[tokio::test(start_paused = true)]
async fn nothing_is_reached_but_the_routes() {
    Town::tell(async |town| {
        let claims = Claims { role: Role::Operator, ..town.issuer.claims(&town.env) };
        let headers = [town.somebody().1, bearer(&town.issuer.token(&claims))];
        for path in [
            "/",
            "/metrics",
            "/health/live",
            "/health/ready",
            "/flotilla.operations.v1.OperationsService/GetStatus",
            "/flotilla.operations.v1.OperationsService/SetLogLevel",
            "/flotilla.auth.v1.TokensService/GetKeys",
            "/flotilla.auth.v1.KeysService/RotateKeys",
            "/flotilla.users.v1.AccountsService/ChangeRole",
            "/userservice.UserService/DeleteUser",
            "/grpc.health.v1.Health/Check",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        ] {
            for header in &headers {
                assert_eq!(town.get(path, header).await.problem().0, 404, "{path}");
                let grpc = format!("{header}content-type: application/grpc\r\nte: trailers\r\n");
                assert_eq!(town.ask("POST", path, &grpc, "\0\0\0\0\0").await.problem().0, 404, "{path}");
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_path_that_two_readers_could_read_differently_is_refused() {
    Town::tell(async |town| {
        let (_, header) = town.somebody();
        for path in [
            "/auth/../users/me",
            "/auth/./login",
            "/auth/%2e%2e/users/me",
            "/auth/%2E%2E/users/me",
            "/auth%2fsessions",
            "/auth%2Fsessions",
            "/auth//sessions",
            "//users/me",
            "/auth/%73essions",
            "/auth/%5c..%5csessions",
            "/auth/%00",
            "/auth/%",
            "/auth/%zz",
        ] {
            assert_eq!(town.get(path, &header).await.problem().0, 400, "{path}");
        }
        assert_eq!(town.get("/users/a%20b", &header).await.json()["target"], "/users/a%20b");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_another_protocol_is_not_let_through_to_it() {
    Town::tell(async |town| {
        let (_, header) = town.somebody();
        let mut h2c = town.visitor().await;
        h2c.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        assert!(!h2c.rest().await.contains(" 200 "));
        let mut upgrade = town.visitor().await;
        upgrade
            .send(format!(
                "GET /users/echo HTTP/1.1\r\nhost: a\r\n{header}connection: upgrade\r\nupgrade: websocket\r\n\r\n"
            ))
            .await;
        let told = upgrade.reply().await.json();
        assert!(!told["headers"].to_string().contains("upgrade"), "{told}");
        let mut connect = town.visitor().await;
        connect.send("CONNECT user-service:50051 HTTP/1.1\r\nhost: user-service:50051\r\n\r\n").await;
        assert!(!connect.rest().await.contains(" 200 "));
    })
    .await;
}
