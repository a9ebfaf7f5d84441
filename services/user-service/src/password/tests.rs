use std::time::Duration;

use argon2::{Params, PasswordHasher as _};
use argon2::password_hash::phc::PasswordHash as Phc;
use runtime::{Clock, Net};

use super::*;

const CHEAP: Cost = Cost { memory_kib: 8, iterations: 1, parallelism: 1 };

fn env() -> Env {
    Env::simulated(Clock::system(), Random::seeded(1), Net::system())
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
    let (hasher, salt) = (cost.hasher().unwrap(), *b"salt of 16 bytes");
    let made = argon2id::hash(&hasher, b"password", salt).unwrap();
    let by_the_crate = hasher.hash_password_with_salt(b"password", &salt).unwrap();
    assert_eq!(made.as_str(), by_the_crate.to_string());

    // From the tests of Argon2's reference implementation.
    let foreign = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let foreign = PasswordHash::stored(foreign.to_owned());
    let verify = |password: &[u8]| argon2id::verify(&hasher, password, Some(&foreign), &made, salt);
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
async fn a_hash_of_another_cost_is_renewed_by_the_right_password_alone() {
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

#[tokio::test]
async fn checking_where_there_is_no_account_computes_as_much_as_where_there_is_one() {
    let cost = Cost { iterations: 3, ..CHEAP };
    let mut passwords = Passwords::new(&env(), cost).unwrap();
    let params = Params::try_from(&Phc::new(passwords.decoy.as_str()).unwrap()).unwrap();
    assert_eq!(Cost::of(&params), cost);
    assert_eq!(params.output_len(), Some(Params::DEFAULT_OUTPUT_LEN));
    // A decoy that cannot be computed with shows that it is.
    passwords.decoy = PasswordHash::stored("plain text".to_owned());
    let failed = passwords.verify("correct horse".into(), None, soon()).await;
    assert!(matches!(failed, Err(HashError::Argon2(_))), "{failed:?}");
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
    assert_eq!(Passwords::new(&env(), starved).map(drop), Err(CostError));
}
