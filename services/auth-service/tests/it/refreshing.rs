use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use proto::flotilla::users::v1::Role as UsersRole;
use serde_json::json;
use types::Role;

use crate::client::{Client, Tokens};
use crate::users::Fault;
use crate::world::World;

const LATE: Duration = Duration::from_secs(11);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn logged_in(world: &World) -> (Client, Tokens) {
    let (client, email) = (world.client(), world.email());
    client.register(&email).await;
    let tokens = client.log_in(&email).await;
    (client, tokens)
}

/// Whether the session of `tokens` has ended for every token in `all`.
async fn is_over(client: &Client, all: &[&Tokens]) -> bool {
    let mut over = true;
    for tokens in all {
        over &= client.try_refresh(&tokens.refresh).await.status == StatusCode::UNAUTHORIZED;
    }
    over
}

#[tokio::test]
async fn each_refresh_gives_another_token_of_the_same_session() {
    World::run_two(async |world| {
        let (client, first) = logged_in(world).await;
        let mut tokens = first.clone();
        for _ in 0..4 {
            let answer = client.try_refresh(&tokens.refresh).await;
            assert_eq!((answer.status, answer.text("token_type")), (StatusCode::OK, "Bearer"));
            assert_eq!(answer.headers["cache-control"], "no-store");
            let next = answer.tokens();
            assert_ne!(next, tokens);
            let (before, after) = (client.claims(&first.access).await, client.claims(&next.access).await);
            assert_eq!((before.user, before.session), (after.user, after.session));
            assert_ne!(before.id, after.id);
            tokens = next;
        }
    })
    .await;
}

#[tokio::test]
async fn an_old_token_ends_the_session_for_whoever_has_the_new_one() {
    World::run(async |world| {
        let (client, first) = logged_in(world).await;
        let second = client.refresh(&first).await;
        let third = client.refresh(&second).await;
        assert!(is_over(&client, &[&first, &second, &third]).await);
    })
    .await;
}

#[tokio::test]
async fn an_old_token_ends_the_session_also_when_its_successor_was_not_used_but_the_time_is_over() {
    World::run(async |world| {
        let (client, first) = logged_in(world).await;
        let second = client.refresh(&first).await;
        world.pass(LATE);
        assert!(is_over(&client, &[&first, &second]).await);
    })
    .await;
}

#[tokio::test]
async fn after_a_lost_answer_the_old_token_is_good_once_more() {
    World::run(async |world| {
        let (client, first) = logged_in(world).await;
        let _lost = client.refresh(&first).await;
        let second = client.refresh(&first).await;
        client.refresh(&client.refresh(&second).await).await;
    })
    .await;
}

#[tokio::test]
async fn a_refresh_is_over_in_time_to_ask_once_more_however_long_its_caller_would_wait() {
    World::run(async |world| {
        let (client, tokens) = logged_in(world).await;
        client.waiting(Duration::from_secs(30)).refresh(&tokens).await;
        assert!(world.users.patience() * 2 < LATE, "{:?}", world.users.patience());
    })
    .await;
}

#[tokio::test]
async fn what_was_in_a_lost_answer_is_void_and_ends_the_session() {
    World::run(async |world| {
        let (client, first) = logged_in(world).await;
        let lost = client.refresh(&first).await;
        let second = client.refresh(&first).await;
        assert!(is_over(&client, &[&lost, &second]).await);
    })
    .await;
}

#[tokio::test]
async fn a_third_use_ends_the_session() {
    World::run(async |world| {
        let (client, first) = logged_in(world).await;
        client.refresh(&first).await;
        let second = client.refresh(&first).await;
        assert!(is_over(&client, &[&first, &second]).await);
    })
    .await;
}

#[tokio::test]
async fn of_refreshes_at_once_two_succeed_and_the_last_of_them_goes_on() {
    World::run_two(async |world| {
        let (client, first) = logged_in(world).await;
        let both = join_all((0..2).map(|_| client.refresh(&first))).await;
        assert_ne!(both[0], both[1]);
        // Which of them came last is not to be seen from here: the other one is void, and ends the session.
        let outcomes = join_all(both.iter().map(|tokens| client.try_refresh(&tokens.refresh))).await;
        let refused = outcomes.iter().filter(|outcome| outcome.status == StatusCode::UNAUTHORIZED);
        assert!((1..=2).contains(&refused.count()), "{outcomes:?}");
    })
    .await;
}

#[tokio::test]
async fn of_many_refreshes_at_once_no_more_than_two_succeed_and_the_session_ends() {
    World::run_two(async |world| {
        let (client, first) = logged_in(world).await;
        let outcomes = join_all((0..8).map(|_| client.try_refresh(&first.refresh))).await;
        let granted: Vec<_> = outcomes.iter().filter(|outcome| outcome.status == StatusCode::OK).collect();
        assert!(granted.len() <= 2, "{outcomes:?}");
        for grant in granted {
            assert!(is_over(&client, &[&grant.tokens()]).await);
        }
    })
    .await;
}

#[tokio::test]
async fn the_account_and_its_role_are_read_again() {
    World::run(async |world| {
        let (client, tokens) = logged_in(world).await;
        let before = client.claims(&tokens.access).await;
        assert_eq!((before.role, before.version), (Role::Customer, 1));
        world.users.change_role(before.user.uuid(), UsersRole::Operator);
        let tokens = client.refresh(&tokens).await;
        let promoted = client.claims(&tokens.access).await;
        assert_eq!((promoted.role, promoted.version), (Role::Operator, 2));
        world.users.rename(before.user.uuid());
        assert_eq!(client.claims(&client.refresh(&tokens).await.access).await.version, 3);
    })
    .await;
}

#[tokio::test]
async fn of_a_deleted_account_no_session_goes_on() {
    World::run(async |world| {
        let (client, tokens) = logged_in(world).await;
        let user = client.claims(&tokens.access).await.user;
        world.users.delete(user.uuid());
        assert!(is_over(&client, &[&tokens]).await);
        assert_eq!(client.sessions(&tokens).await.status, StatusCode::UNAUTHORIZED);
    })
    .await;
}

#[tokio::test]
async fn while_the_account_cannot_be_read_no_token_is_spent() {
    World::run(async |world| {
        let (client, first) = logged_in(world).await;
        for fault in [Fault::Away, Fault::Silent] {
            world.users.suffer(fault);
            for _ in 0..3 {
                let away = client.waiting(Duration::from_secs(2)).try_refresh(&first.refresh).await;
                assert_eq!(away.status, StatusCode::SERVICE_UNAVAILABLE, "{fault:?}");
            }
        }
        world.users.suffer(Fault::None);
        world.pass(LATE);
        let second = client.refresh(&first).await;
        client.refresh(&second).await;
    })
    .await;
}

#[tokio::test]
async fn a_session_that_is_not_used_ends_and_one_that_is_used_ends_at_last() {
    World::run(async |world| {
        let (client, idle) = logged_in(world).await;
        let (_, mut used) = logged_in(world).await;
        for _ in 0..4 {
            world.pass(DAY * 6);
            used = client.refresh(&used).await;
        }
        assert!(is_over(&client, &[&idle]).await);
        world.pass(DAY * 5);
        used = client.refresh(&used).await;
        world.pass(DAY - Duration::from_secs(5 * 60));
        let last = client.try_refresh(&used.refresh).await;
        let left = last.body["expires_in"].as_u64().unwrap();
        assert!(left <= 5 * 60, "no access token outlives the session: {left}");
        used = last.tokens();
        world.pass(Duration::from_secs(5 * 60));
        assert!(is_over(&client, &[&used]).await);
    })
    .await;
}

#[tokio::test]
async fn what_is_no_refresh_token_of_ours_is_refused_and_ends_nothing() {
    World::run(async |world| {
        let (client, tokens) = logged_in(world).await;
        let made_up = ["", "a", &"a".repeat(43), &"a".repeat(100_000), &format!("{}=", tokens.refresh)]
            .map(str::to_owned);
        for token in made_up {
            let refused = client.try_refresh(&token).await;
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
            assert_eq!(refused.text("detail"), "the refresh token is not good, or not any more");
        }
        let missing = client.post("/auth/refresh", &json!({})).await;
        assert_eq!((missing.status, missing.fields()), (StatusCode::BAD_REQUEST, vec!["/refresh_token"]));
        client.refresh(&tokens).await;
    })
    .await;
}
