//! Services that do not answer as they should.

use std::time::Duration;

use tokio::time::Instant;

use crate::odd::{self, Then};
use crate::town::Town;
use crate::visitor::Visitor;

/// Asks a service that says just this; the connection on which it was asked.
async fn asked(town: &Town) -> Visitor {
    let mut visitor = town.visitor().await;
    visitor.send("GET /odd HTTP/1.1\r\nhost: a\r\n\r\n").await;
    visitor
}

#[tokio::test(start_paused = true)]
async fn what_a_service_has_begun_with_and_not_answered_may_have_happened() {
    for says in ["", "HTTP/1.1 200 OK\r\ncontent-", "SSH-2.0-OpenSSH_9.6\r\n", "HTTP/1.1 99 No\r\n\r\n"] {
        Town::with(&[odd::ROUTES], async |town| {
            let _odd = odd::open(town, says, Then::Leaves).await;
            assert_eq!(asked(town).await.reply().await.problem().0, 504, "{says:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    for says in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\ntea",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\ntea\r\n",
    ] {
        Town::with(&[odd::ROUTES], async |town| {
            let _odd = odd::open(town, says, Then::Leaves).await;
            let mut visitor = asked(town).await;
            assert!(visitor.head().await.starts_with("HTTP/1.1 200 "));
            let rest = visitor.rest().await;
            assert!(rest.contains("tea") && !rest.ends_with("0\r\n\r\n"), "{rest}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_go_on_is_waited_for_a_minute() {
    Town::with(&[odd::ROUTES], async |town| {
        let says = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\ntea";
        let _odd = odd::open(town, says, Then::Stays).await;
        let mut visitor = asked(town).await;
        visitor.until("tea").await;
        let began = Instant::now();
        assert_eq!(visitor.rest().await, "");
        assert_eq!(began.elapsed().as_secs(), Duration::from_secs(60).as_secs());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_before_an_answer_is_not_taken_for_it() {
    Town::with(&[odd::ROUTES], async |town| {
        let says = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntea";
        let _odd = odd::open(town, says, Then::Stays).await;
        let reply = asked(town).await.reply().await;
        assert_eq!((reply.status(), &*reply.body, reply.header("link")), (200, "tea", None));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_service_changes_the_protocol_of_a_connection() {
    Town::with(&[odd::ROUTES], async |town| {
        let says = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: tea\r\n\r\n";
        let _odd = odd::open(town, says, Then::Stays).await;
        assert_eq!(asked(town).await.reply().await.problem(), (500, String::new()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_between_the_gateway_and_a_service_stays_there() {
    Town::with(&[odd::ROUTES], async |town| {
        let says = "HTTP/1.1 200 OK\r\nconnection: x-hop, close\r\nx-hop: 1\r\nkeep-alive: timeout=9\r\nflotilla-hint: 1\r\n\
                    proxy-authenticate: Basic\r\nupgrade: h2c\r\ntrailer: x-sum\r\nx-request-id: theirs\r\netag: \"1\"\r\n\
                    transfer-encoding: chunked\r\n\r\n3\r\ntea\r\n0\r\nx-sum: 1\r\n\r\n";
        let _odd = odd::open(town, says, Then::Leaves).await;
        let mut visitor = asked(town).await;
        let head = visitor.head().await;
        let mut names: Vec<_> = head.lines().skip(1).filter_map(|line| Some(line.split_once(": ")?.0)).collect();
        names.sort_unstable();
        assert_eq!(names, ["date", "etag", "transfer-encoding", "x-request-id"], "{head}");
        assert!(!head.contains("theirs"), "{head}");
        assert_eq!(visitor.until("0\r\n\r\n").await, "3\r\ntea\r\n");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_want_the_body_is_not_waited_for() {
    Town::tell(async |town| {
        let (_, header) = town.somebody();
        let mut visitor = town.visitor().await;
        visitor
            .send(format!("POST /users/deaf HTTP/1.1\r\nhost: a\r\n{header}content-length: 9\r\n\r\nhalf"))
            .await;
        assert_eq!(visitor.reply().await.body, "heard nothing");
    })
    .await;
}
