use std::time::Duration;

use proto::flotilla::users::v1::get_account_request::By;
use proto::flotilla::users::v1::{
    Account, Change, ChangeKind, ChangePasswordRequest, ChangeRoleRequest, GetAccountRequest, Role,
    SettleChangesRequest, WatchChangesRequest, WatchChangesResponse,
};
use proto::status;
use proto::userservice::{DeleteUserRequest, UpdateUserRequest, User};
use runtime::Deadline;
use tonic::Streaming;
use types::ErrorClass;

use crate::world::{World, on_both_databases};

const KEPT: &str = "0190b3c8-7c5e-7000-8000-00000000000a";

/// Longer than anything takes that goes well, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(20);

/// Somebody who watches, and waits no longer than a test may.
struct Watched {
    stream: Streaming<WatchChangesResponse>,
    until: Deadline,
}

async fn watch(world: &World) -> Watched {
    let mut accounts = world.accounts("auth-service").await;
    let stream = accounts.watch_changes(WatchChangesRequest {}).await.unwrap().into_inner();
    Watched { stream, until: Deadline::within(PATIENCE) }
}

impl Watched {
    /// What is told next.
    async fn next(&mut self) -> Vec<Change> {
        let told = self.until.bound(self.stream.message()).await.expect("it is told in time");
        told.unwrap().expect("it does not end by itself").changes
    }

    /// The next `count` changes of the account. Others have accounts in the same database.
    async fn next_of(&mut self, account: &str, count: usize) -> Vec<(ChangeKind, i64, Option<String>)> {
        let mut found = Vec::new();
        while found.len() < count {
            let own = self.next().await.into_iter().filter(|change| change.account_id == account);
            found.extend(own.map(|change| (change.kind(), change.version, change.kept_session)));
        }
        found
    }

    /// The account's earliest change. Those of others are settled, or so many would wait that they stand in the way.
    async fn first_of(&mut self, world: &World, account: &str) -> Change {
        loop {
            let told = self.next().await;
            let (own, others): (Vec<_>, Vec<_>) =
                told.into_iter().partition(|change| change.account_id == account);
            settle(world, others.into_iter().map(|change| change.id).collect()).await;
            if let Some(first) = own.into_iter().next() {
                return first;
            }
        }
    }
}

async fn settle(world: &World, ids: Vec<String>) {
    world.accounts("auth-service").await.settle_changes(SettleChangesRequest { ids }).await.unwrap();
}

async fn change_password(world: &World, account: &str, kept: Option<&str>) {
    let change = ChangePasswordRequest {
        account_id: account.to_owned(),
        current_password: None,
        new_password: "staple battery horse".to_owned(),
        kept_session: kept.map(str::to_owned),
    };
    world.accounts("operator").await.change_password(change).await.unwrap();
}

async fn rename(world: &World, ada: &User) {
    let rename = UpdateUserRequest { id: ada.id.clone(), name: Some("Countess".to_owned()), email: None };
    world.users("operator").await.update_user(rename).await.unwrap();
}

async fn promote(world: &World, ada: &User) {
    let promote = ChangeRoleRequest { account_id: ada.id.clone(), role: Role::Operator.into() };
    world.accounts("operator").await.change_role(promote).await.unwrap();
}

on_both_databases! {
    async fn a_change_is_told_to_whoever_watches_until_it_is_settled(world: &World) {
        let ada = world.ada().await;
        change_password(world, &ada.id, None).await;
        let mut watched = watch(world).await;
        let first = watched.first_of(world, &ada.id).await;
        assert_eq!((first.kind(), first.version), (ChangeKind::Password, 2));
        assert_eq!(watch(world).await.first_of(world, &ada.id).await, first);
        for _ in 0..2 {
            settle(world, vec![first.id.clone()]).await;
        }
        change_password(world, &ada.id, None).await;
        let second = watch(world).await.first_of(world, &ada.id).await;
        assert_eq!((second.kind(), second.version), (ChangeKind::Password, 3));
        settle(world, vec![second.id]).await;
    }

    async fn an_account_is_read_by_its_id_and_by_its_address(world: &World) {
        let ada = world.ada().await;
        promote(world, &ada).await;
        let mut accounts = world.accounts("auth-service").await;
        let operator = Account { id: ada.id.clone(), role: Role::Operator.into(), version: 2 };
        for by in [By::Id(ada.id), By::Email(ada.email.to_uppercase())] {
            let read = accounts.get_account(GetAccountRequest { by: Some(by) }).await.unwrap();
            assert_eq!(read.into_inner().account, Some(operator.clone()));
        }
        for by in [By::Id("0190b3c8-7c5e-7000-8000-000000000000".to_owned()), By::Email(world.email())] {
            let refused = accounts.get_account(GetAccountRequest { by: Some(by) }).await.unwrap_err();
            assert_eq!(status::class(&refused), ErrorClass::NotFound);
        }
        for (by, field) in [
            (None, "/id"),
            (Some(By::Id("7".to_owned())), "/id"),
            (Some(By::Email("ada".to_owned())), "/email"),
        ] {
            let refused = accounts.get_account(GetAccountRequest { by }).await.unwrap_err();
            assert_eq!(status::fields(&refused)[0].pointer, field);
        }
    }
}

#[tokio::test]
async fn what_concerns_tokens_is_told_as_it_happens_and_nothing_else() {
    World::on_sqlite(async |world| {
        let (ada, mut watched) = (world.ada().await, watch(world).await);
        rename(world, &ada).await;
        promote(world, &ada).await;
        promote(world, &ada).await;
        change_password(world, &ada.id, Some(KEPT)).await;
        change_password(world, &ada.id, None).await;
        world.users("operator").await.delete_user(DeleteUserRequest { id: ada.id.clone() }).await.unwrap();
        let told = [
            (ChangeKind::Role, 3, None),
            (ChangeKind::Password, 4, Some(KEPT.to_owned())),
            (ChangeKind::Password, 5, None),
            (ChangeKind::Deleted, 6, None),
        ];
        assert_eq!(watched.next_of(&ada.id, told.len()).await, told);
    })
    .await;
}

#[tokio::test]
async fn a_watcher_that_comes_back_is_told_again_and_one_that_stays_is_not() {
    World::on_sqlite(async |world| {
        let ada = world.ada().await;
        promote(world, &ada).await;
        let (mut stays, mut leaves) = (watch(world).await, watch(world).await);
        let promoted = [(ChangeKind::Role, 2, None)];
        assert_eq!(stays.next_of(&ada.id, 1).await, promoted);
        assert_eq!(leaves.next_of(&ada.id, 1).await, promoted);
        drop(leaves);
        change_password(world, &ada.id, None).await;
        let changed = (ChangeKind::Password, 3, None);
        assert_eq!(stays.next_of(&ada.id, 1).await, std::slice::from_ref(&changed));
        let [promoted] = promoted;
        assert_eq!(watch(world).await.next_of(&ada.id, 2).await, [promoted, changed]);
    })
    .await;
}

#[tokio::test]
async fn silence_is_broken_so_that_a_dead_connection_is_noticed() {
    World::on_sqlite(async |world| {
        let mut watched = watch(world).await;
        for _ in 0..2 {
            assert_eq!(watched.next().await, []);
        }
    })
    .await;
}

#[tokio::test]
async fn a_watcher_does_not_hold_up_the_end() {
    let mut watched = None;
    World::on_sqlite(async |world| watched = Some(watch(world).await)).await;
    assert!(watched.is_some());
}

#[tokio::test]
async fn what_settles_nothing_is_told() {
    World::on_sqlite(async |world| {
        let mut accounts = world.accounts("auth-service").await;
        for ids in [vec!["7".to_owned()], vec![KEPT.to_owned(); 501]] {
            let refused = accounts.settle_changes(SettleChangesRequest { ids }).await.unwrap_err();
            assert_eq!(status::class(&refused), ErrorClass::Invalid);
            assert_eq!(status::fields(&refused)[0].pointer, "/ids");
        }
        accounts.settle_changes(SettleChangesRequest { ids: vec![KEPT.to_owned()] }).await.unwrap();
    })
    .await;
}
