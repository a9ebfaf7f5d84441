use std::num::NonZeroU32;

use auth_service::config::Failures;
use futures_util::future::join_all;
use http::StatusCode;

use crate::client::{Answer, Client, PASSWORD};
use crate::world::World;

const HOME: &str = "192.0.2.7";
const ATTACKERS: [&str; 3] = ["198.51.100.1", "198.51.100.2", "2001:db8::1"];

async fn limited(per_account: u32, per_address: u32, test: impl AsyncFnOnce(&World)) {
    let [per_account, per_address] = [per_account, per_address].map(|it| NonZeroU32::new(it).unwrap());
    World::of(1, |config| config.failures = Failures { per_account, per_address }, test).await;
}

/// Guesses until that is limited; how many guesses there were and the refusal of the next.
async fn guess(client: &Client, email: &str) -> (u32, Answer) {
    let mut guesses = 0;
    loop {
        let answer = client.try_log_in(email, "wrong horse battery").await;
        if answer.status != StatusCode::UNAUTHORIZED {
            return (guesses, answer);
        }
        guesses += 1;
    }
}

#[tokio::test]
async fn guesses_at_an_account_are_limited_from_wherever_they_come_and_told_when_the_next_is_due() {
    limited(5, 100, async |world| {
        let (client, email) = (world.client(), world.email());
        client.register(&email).await;
        let (guesses, refused) = guess(&client.from(ATTACKERS[0]), &email).await;
        assert_eq!((guesses, refused.status), (5, StatusCode::TOO_MANY_REQUESTS));
        let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((50..=60).contains(&wait), "{wait}");
        let detail = format!("too many wrong passwords; the next try is in {wait} s");
        assert_eq!(refused.text("detail"), detail);
        for attacker in ATTACKERS {
            assert_eq!(guess(&client.from(attacker), &email).await.0, 0);
            let right = client.from(attacker).try_log_in(&email, PASSWORD).await;
            assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS, "a right guess looks like a wrong one");
        }
    })
    .await;
}

#[tokio::test]
async fn an_address_without_an_account_is_limited_in_the_same_way() {
    limited(5, 100, async |world| {
        let client = world.client();
        let email = world.email();
        client.register(&email).await;
        let (known, unknown) = (guess(&client, &email).await, guess(&client, &world.email()).await);
        assert_eq!(known.0, unknown.0);
        assert_eq!(known.1.text("title"), unknown.1.text("title"));
        assert_eq!(known.1.status, unknown.1.status);
    })
    .await;
}

#[tokio::test]
async fn guesses_do_not_lock_out_an_owner_who_has_logged_in_from_there_before() {
    limited(5, 100, async |world| {
        let (client, email) = (world.client().from(HOME), world.email());
        client.register(&email).await;
        let tokens = client.log_in(&email).await;
        assert_eq!(client.log_out(&tokens.refresh).await, StatusCode::NO_CONTENT);
        for attacker in ATTACKERS {
            guess(&client.from(attacker), &email).await;
        }
        for _ in 0..10 {
            client.log_in(&email).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_address_is_limited_whatever_accounts_it_guesses_at() {
    limited(100, 5, async |world| {
        let (client, email) = (world.client(), world.email());
        client.register(&email).await;
        client.from(HOME).log_in(&email).await;
        let mut guesses = 0;
        while client.from(ATTACKERS[0]).try_log_in(&world.email(), PASSWORD).await.status
            == StatusCode::UNAUTHORIZED
        {
            guesses += 1;
        }
        assert_eq!(guesses, 5);
        let refused = client.from(ATTACKERS[0]).try_log_in(&email, PASSWORD).await;
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        client.from(HOME).log_in(&email).await;
    })
    .await;
}

#[tokio::test]
async fn successes_cost_nothing() {
    limited(1, 1, async |world| {
        let (client, email) = (world.client(), world.email());
        client.register(&email).await;
        for _ in 0..20 {
            client.log_in(&email).await;
        }
        assert_eq!(guess(&client, &email).await.0, 1);
    })
    .await;
}

#[tokio::test]
async fn successes_at_once_cost_nothing_either() {
    limited(1, 1, async |world| {
        let (client, email) = (world.client(), world.email());
        client.register(&email).await;
        let answers = join_all((0..20).map(|_| client.try_log_in(&email, PASSWORD))).await;
        assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [StatusCode::OK; 20]);
        assert_eq!(guess(&client, &email).await.0, 1);
    })
    .await;
}

#[tokio::test]
async fn whoever_has_an_access_token_guesses_at_the_password_no_more_often() {
    limited(3, 100, async |world| {
        let (client, email) = (world.client(), world.email());
        client.register(&email).await;
        let tokens = client.log_in(&email).await;
        for _ in 0..3 {
            let wrong = client.change_password(&tokens, "wrong horse battery", "staple battery horse").await;
            assert_eq!(wrong.fields(), ["/current_password"]);
        }
        let refused = client.change_password(&tokens, PASSWORD, "staple battery horse").await;
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    })
    .await;
}
