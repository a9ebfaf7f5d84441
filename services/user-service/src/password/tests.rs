use std::time::Duration;

use argon2::PasswordHasher as _;
use runtime::{Clock, Net};

use super::*;

const CHEAP: Cost = Cost { memory_kib: 8, iterations: 1, parallelism: 1 };
const SALT: Salt = *b"salt of 16 bytes";

fn env() -> Env {
    Env::simulated(Clock::system(), Random::seeded(1), Net::system())
}

fn memories() -> Memories {
    Memories::new(env().compute)
}

fn soon() -> Deadline {
    Deadline::within(Duration::from_secs(60))
}

#[test]
fn a_secret_is_never_printed() {
    let password = NewPassword::parse("correct horse".into(), None).unwrap();
    let hash = PasswordHash::stored("$argon2id$horse".to_owned());
    let printed = format!("{password:?} {hash:?}");
    assert!(!printed.contains("horse"), "{printed}");
}

#[tokio::test]
async fn a_password_is_told_from_a_wrong_one_and_from_none() {
    let passwords = Passwords::new(&env(), CHEAP).unwrap();
    let chosen = NewPassword::parse("correct horse".into(), None).unwrap();
    let stored = passwords.hash(chosen, soon()).await.unwrap();
    assert!(stored.as_str().starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{}", stored.as_str());
    let verify = async |password: &str, stored| passwords.verify(password.into(), stored, soon()).await;
    assert_eq!(verify("correct horse", Some(stored.clone())).await, Ok(Verdict::Right));
    assert_eq!(verify("Correct horse", Some(stored)).await, Ok(Verdict::Wrong));
    assert_eq!(verify("correct horse", None).await, Ok(Verdict::Wrong));
}

#[test]
fn a_hash_is_the_one_that_other_programs_make_and_understand() {
    let cost = Cost { memory_kib: 256, iterations: 2, parallelism: 1 };
    let memories = memories();
    let mut worker = Worker::new(&memories);
    let made = worker.hash(cost, b"password", SALT).unwrap();
    let by_the_crate = cost.hasher().unwrap().hash_password_with_salt(b"password", &SALT).unwrap();
    assert_eq!(made.as_str(), by_the_crate.to_string());

    // From the tests of Argon2's reference implementation.
    let foreign = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let foreign = Stored::read(&PasswordHash::stored(foreign.to_owned())).unwrap();
    let mut verify = |password: &[u8]| worker.verify(cost, password, &foreign, SALT);
    assert_eq!(verify(b"password"), Ok(Verdict::Right));
    assert_eq!(verify(b"passwort"), Ok(Verdict::Wrong));
}

#[tokio::test]
async fn two_accounts_with_one_password_have_different_hashes() {
    let passwords = Passwords::new(&env(), CHEAP).unwrap();
    let hash = async || {
        let chosen = NewPassword::parse("correct horse".into(), None).unwrap();
        passwords.hash(chosen, soon()).await.unwrap()
    };
    assert_ne!(hash().await, hash().await);
}

#[tokio::test]
async fn a_hash_of_a_lower_cost_is_renewed_by_the_right_password_alone() {
    let (old, new) = (CHEAP, Cost { iterations: 2, ..CHEAP });
    let chosen = NewPassword::parse("correct horse".into(), None).unwrap();
    let stored = Passwords::new(&env(), old).unwrap().hash(chosen, soon()).await.unwrap();
    let passwords = Passwords::new(&env(), new).unwrap();
    let wrong = passwords.verify("wrong horse".into(), Some(stored.clone()), soon()).await;
    assert_eq!(wrong, Ok(Verdict::Wrong));
    let Ok(Verdict::RightAndRenewed(renewed)) =
        passwords.verify("correct horse".into(), Some(stored), soon()).await
    else {
        panic!("the hash has the old cost");
    };
    assert!(renewed.as_str().starts_with("$argon2id$v=19$m=8,t=2,p=1$"), "{}", renewed.as_str());
    assert_eq!(passwords.verify("correct horse".into(), Some(renewed), soon()).await, Ok(Verdict::Right));
}

#[test]
fn a_hash_is_never_made_weaker() {
    let cost = |memory_kib, iterations| Cost { memory_kib, iterations, parallelism: 1 };
    let stored = Worker::new(&memories()).hash(cost(64, 3), b"correct horse", SALT).unwrap();
    for now in [cost(64, 2), cost(32, 3), cost(32, 9), cost(64, 3), cost(96, 2)] {
        let passwords = Passwords::new(&env(), now).unwrap();
        let verdict = passwords.check(&mut Worker::new(&memories()), b"correct horse", Some(&stored), SALT);
        assert_eq!(verdict, Ok(Verdict::Right), "{now:?}");
    }
}

#[test]
fn being_refused_costs_the_same_with_and_without_an_account_at_whatever_cost_its_hash_was_made() {
    let cost = |memory_kib, iterations| Cost { memory_kib, iterations, parallelism: 1 };
    for (then, now) in [
        (cost(64, 3), cost(64, 3)),
        (cost(8, 1), cost(64, 2)),
        (cost(32, 1), cost(64, 2)),
        (cost(600, 1), cost(160, 6)),
        (cost(64, 3), cost(16, 2)),
    ] {
        let passwords = Passwords::new(&env(), now).unwrap();
        let stored = Worker::new(&memories()).hash(then, b"correct horse", SALT).unwrap();
        let [wrong, unknown] = [Some(&stored), None].map(|stored| {
            let memories = memories();
            let mut worker = Worker::new(&memories);
            assert_eq!(passwords.check(&mut worker, b"wrong horse", stored, SALT), Ok(Verdict::Wrong));
            worker.work()
        });
        assert_eq!((wrong, unknown), (unknown, then.work().max(now.work())), "{then:?}, {now:?}");
    }
}

#[test]
fn what_owasp_takes_for_enough_is_enough() {
    let cost = |memory_kib, iterations| Cost { memory_kib, iterations, parallelism: 1 };
    for enough in [Cost::OWASP, cost(47_104, 1), cost(7_168, 5), cost(65_536, 3)] {
        assert!(enough.is_enough(), "{enough:?}");
    }
    for weak in [cost(19_455, 2), cost(19_456, 1), cost(7_167, 16), CHEAP] {
        assert!(!weak.is_enough(), "{weak:?}");
    }
}

#[tokio::test]
async fn a_stored_hash_that_cannot_be_read_is_a_fault_of_ours_and_no_wrong_password() {
    let passwords = Passwords::new(&env(), CHEAP).unwrap();
    let stored = Some(PasswordHash::stored("plain text".to_owned()));
    let failed = passwords.verify("correct horse".into(), stored, soon()).await.unwrap_err();
    assert_eq!(failed.class(), ErrorClass::Internal);
}

#[test]
fn parameters_that_argon2_does_not_take_are_refused() {
    let starved = Cost { memory_kib: 8, iterations: 1, parallelism: 2 };
    assert_eq!(Passwords::new(&env(), starved).map(drop), Err(HashError::Cost(CostError)));
}
