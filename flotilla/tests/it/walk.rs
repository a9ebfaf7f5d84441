//! The life of a session, through the gateway.

use std::time::Duration;

use runtime::Deadline;

use crate::together::{PASSWORD, Running};
use crate::visitor::{Visitor, text};

/// Within this the gateway knows which sessions have ended; the tokens themselves are good for ten minutes.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_session_lives_from_its_login_to_its_logout() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path()).await;
    let visitor = Visitor::of(running.services["api-gateway"].http);
    assert_eq!(visitor.register("ada@example.com").await.unwrap().0, 201);
    let (status, first) = visitor.log_in("ada@example.com", PASSWORD).await.unwrap();
    assert_eq!(status, 200, "{first}");
    assert_is_ada(&visitor, text(&first, "access_token")).await;
    let (status, next) = visitor.refresh(text(&first, "refresh_token")).await.unwrap();
    assert_eq!(status, 200, "{next}");
    assert_is_ada(&visitor, text(&next, "access_token")).await;

    assert_eq!(visitor.log_out(text(&next, "refresh_token")).await.unwrap().0, 204);
    assert_eq!(visitor.refresh(text(&next, "refresh_token")).await.unwrap().0, 401);
    for tokens in [&first, &next] {
        let refused = async { while visitor.me(text(tokens, "access_token")).await.unwrap().0 != 401 {} };
        Deadline::within(SOON).bound(refused).await.expect("the gateway is told of the logout");
    }
    assert_eq!(visitor.log_in("ada@example.com", PASSWORD).await.unwrap().0, 200);
    assert_eq!(running.program.code_after("TERM").await, Some(0));
}

async fn assert_is_ada(visitor: &Visitor, access_token: &str) {
    let (status, me) = visitor.me(access_token).await.unwrap();
    assert_eq!((status, text(&me, "email")), (200, "ada@example.com"));
}
