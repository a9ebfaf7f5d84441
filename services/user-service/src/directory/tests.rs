use std::sync::mpsc;

use database::{Sql, params};
use runtime::Env;
use tokio::sync::Notify;

use super::fixture::{CHEAP, PASSWORD, directory, soon};
use super::*;
use crate::password::Cost;

const DEARER: Cost = Cost { iterations: 2, ..CHEAP };

#[tokio::test]
async fn a_login_renews_a_hash_of_a_lower_cost_and_leaves_the_account_as_it_was() {
    let (mut directory, _dir) = directory(CHEAP).await;
    let ada = directory.add("ada").await;
    directory.passwords = Passwords::new(&Env::system(1), DEARER).unwrap();
    let stored = async || {
        let found = store::credentials_of(&directory.database, ada.id, soon()).await;
        found.unwrap().unwrap()
    };

    let wrong = directory.verify("ada@example.com", "wrong horse battery".into(), soon()).await;
    assert!(matches!(wrong, Err(DirectoryError::WrongCredentials)), "{wrong:?}");
    assert!(stored().await.1.as_str().contains("t=1"));

    assert_eq!(directory.verify("ada@example.com", PASSWORD.into(), soon()).await.unwrap(), ada);
    let (account, renewed) = stored().await;
    assert_eq!(account, ada);
    assert!(renewed.as_str().contains("t=2"));

    assert_eq!(directory.verify("ada@example.com", PASSWORD.into(), soon()).await.unwrap(), ada);
    assert_eq!(stored().await.1, renewed);
}

#[tokio::test]
async fn an_account_from_before_a_rule_is_still_read() {
    const RENAME: Sql = Sql::new("UPDATE users SET name = $1 WHERE id = $2");
    let (directory, _dir) = directory(CHEAP).await;
    let ada = directory.add("ada").await;
    let mut batch = Batch::new();
    batch.expect(1, RENAME, params!["Ada\u{2028}Lovelace", ada.id]);
    directory.database.commit(batch, soon()).await.unwrap();
    assert_eq!(directory.get(ada.id, soon()).await.unwrap().name.as_str(), "Ada\u{2028}Lovelace");
}

#[tokio::test]
async fn a_login_succeeds_while_nothing_can_be_written() {
    let (mut directory, _dir) = directory(CHEAP).await;
    let ada = directory.add("ada").await;
    directory.passwords = Passwords::new(&Env::system(1), DEARER).unwrap();
    let (held, logged_in) = (Notify::new(), Notify::new());
    // SQLite has one writer at a time.
    let writer = directory.database.transaction(soon(), async |_| {
        held.notify_one();
        logged_in.notified().await;
        Ok::<_, CommitError>(())
    });
    let login = async {
        held.notified().await;
        let account = directory.verify("ada@example.com", PASSWORD.into(), soon()).await;
        logged_in.notify_one();
        account
    };
    let (wrote, account) = tokio::join!(writer, login);
    wrote.expect("the login did not wait for the other's end");
    assert_eq!(account.unwrap(), ada);
}

#[tokio::test]
async fn an_address_without_an_account_is_checked_all_the_same() {
    let (mut directory, _dir) = directory(CHEAP).await;
    let env = Env::system(1);
    directory.passwords = Passwords::new(&env, CHEAP).unwrap();
    let (release, held) = mpsc::channel::<()>();
    let mut busy = std::pin::pin!(env.compute.run(move || held.recv()));
    assert!(futures_util::poll!(&mut busy).is_pending());
    for address in ["nobody@example.com", "no address"] {
        let waits = async {
            while env.compute.waiting() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            refused = directory.verify(address, PASSWORD.into(), soon()) => panic!("{address}: {refused:?}"),
            () = waits => {}
        }
    }
    release.send(()).unwrap();
    busy.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_change_meant_for_an_older_version_is_refused_and_changes_nothing() {
    let (directory, _dir) = directory(CHEAP).await;
    let ada = directory.add("ada").await;
    let rename = |name| Change::of_profile(None, Some(name)).unwrap();
    let renamed = directory.change(ada.id, &rename("Countess"), Some(&[1]), soon()).await.unwrap();
    assert_eq!(renamed.version, 2);
    let stale = directory.change(ada.id, &rename("Ada"), Some(&[1]), soon()).await.unwrap_err();
    assert_eq!(stale.class(), ErrorClass::Precondition);
    let stale = directory.delete(ada.id, Some(&[1]), soon()).await.unwrap_err();
    assert_eq!(stale.class(), ErrorClass::Precondition);
    assert_eq!(directory.get(ada.id, soon()).await.unwrap(), renamed);
}

#[tokio::test]
async fn a_change_that_changes_nothing_leaves_the_version() {
    let (directory, _dir) = directory(CHEAP).await;
    let ada = directory.add("ada").await;
    let same = Change::of_profile(Some("ADA@example.com"), Some("ada")).unwrap();
    assert_eq!(directory.change(ada.id, &same, Some(&[1]), soon()).await.unwrap(), ada);
}

#[test]
fn a_constraint_that_is_not_the_callers_fault_is_ours() {
    let taken = DirectoryError::from(CommitError::Constraint("users_email_key".to_owned()));
    assert_eq!(taken.class(), ErrorClass::Conflict);
    let broken = DirectoryError::from(CommitError::Constraint("users_role_check".to_owned()));
    assert_eq!(broken.class(), ErrorClass::Internal);
}

#[tokio::test]
async fn a_change_that_another_replica_wrote_is_told_too() {
    let (directory, _dir) = directory(CHEAP).await;
    let ada = directory.add("ada").await;
    let mut watch = Changes::new(directory.database.clone()).watch();
    assert_eq!(watch.next().await.unwrap(), []);
    directory.change(ada.id, &Change::of_role(Role::Operator), None, soon()).await.unwrap();
    let told = loop {
        let told = watch.next().await.unwrap();
        if !told.is_empty() {
            break told;
        }
    };
    let [change] = &told[..] else { panic!("{told:?}") };
    assert_eq!((change.account, change.kind, change.version), (ada.id, ChangeKind::Role, 2));
}
