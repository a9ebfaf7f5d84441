//! user-service as far as its contract goes, with whatever a test wants to go wrong.

mod book;
mod service;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chassis::{Assembly, Platform, Service};
use proto::flotilla::users::v1::Role;
use proto::flotilla::users::v1::accounts_service_server::AccountsServiceServer;
use proto::userservice::user_service_server::UserServiceServer;
use runtime::Deadline;
use service_auth::AllowTable;
use tokio::sync::watch;
use tonic::service::Routes;
use uuid::Uuid;

use self::book::Book;
use crate::world::PATIENCE;

/// The accounts there are, and how the service behaves. Clones are the same.
#[derive(Clone)]
pub(crate) struct Users(Arc<Shared>);

struct Shared {
    book: Mutex<Book>,
    /// Changes whenever a change of an account is noted or settled.
    noted: watch::Sender<()>,
    fault: watch::Sender<Fault>,
    /// Credentials that were verified and wait for leave to be answered.
    held: watch::Sender<usize>,
    /// How often whoever wanted to follow the changes was refused.
    refused: watch::Sender<usize>,
    /// How long the last one would wait who asked for an account.
    patience: watch::Sender<Duration>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Every call is refused before anything is done.
    Away,
    /// Calls are done, and never answered.
    Silent,
    /// Credentials are verified, and not answered before this is over.
    Slow,
}

impl Users {
    pub(crate) fn new() -> Self {
        let (noted, fault) = (watch::Sender::default(), watch::Sender::new(Fault::None));
        let (held, refused) = (watch::Sender::new(0), watch::Sender::new(0));
        let (book, patience) = (Mutex::default(), watch::Sender::default());
        Self(Arc::new(Shared { book, noted, fault, held, refused, patience }))
    }

    /// The service, on `platform`.
    pub(crate) async fn build(&self, platform: &Platform) -> Service {
        let mut routes = Routes::builder();
        routes
            .add_service(UserServiceServer::new(self.clone()))
            .add_service(AccountsServiceServer::new(self.clone()));
        let allow = AllowTable::new(&platform.trust_domain)
            .allow("/userservice.UserService/*", &["auth-service"])
            .allow("/flotilla.users.v1.AccountsService/*", &["auth-service"]);
        let assembly = Assembly { grpc: routes.routes(), allow, ..Assembly::new(&platform.trust_domain) };
        assembly.bind(platform).await.unwrap()
    }

    /// Lets `fault` go wrong from now on.
    pub(crate) fn suffer(&self, fault: Fault) {
        self.0.fault.send_replace(fault);
    }

    /// Waits until credentials have been verified and are not answered.
    pub(crate) async fn holds_somebody(&self) {
        self.0.held.subscribe().wait_for(|held| *held > 0).await.unwrap();
    }

    /// How long the last one would wait who asked for an account.
    pub(crate) fn patience(&self) -> Duration {
        *self.0.patience.borrow()
    }

    /// Waits until nobody has to be told of a change any more.
    pub(crate) async fn settled(&self) {
        self.settled_but(0).await;
    }

    /// Waits until somebody has to be told of no more changes than so many.
    pub(crate) async fn settled_but(&self, left: usize) {
        let mut noted = self.0.noted.subscribe();
        let settled = noted.wait_for(|()| self.book().changes.len() <= left);
        Deadline::within(PATIENCE).bound(settled).await.expect("they are followed in time").unwrap();
    }

    /// Waits until somebody who follows the changes has noticed that the service is away.
    pub(crate) async fn is_missed(&self) {
        let mut refused = self.0.refused.subscribe();
        let before = *refused.borrow_and_update();
        refused.wait_for(|refused| *refused > before).await.unwrap();
    }

    /// Gives the account another role.
    pub(crate) fn change_role(&self, id: Uuid, role: Role) {
        self.book().change_role(id, role);
        self.0.noted.send_replace(());
    }

    /// Gives the account another password, as an operator does.
    pub(crate) fn reset_password(&self, id: Uuid, password: &str) {
        self.book().change_password(id, password, None);
        self.0.noted.send_replace(());
    }

    /// Gives the account another version, as a change of its name does.
    pub(crate) fn rename(&self, id: Uuid) {
        self.book().rename(id);
    }

    /// Gives the account back the version that it began with, as putting back the database does.
    pub(crate) fn put_back(&self, id: Uuid) {
        self.book().put_back(id);
    }

    /// Deletes the account.
    pub(crate) fn delete(&self, id: Uuid) {
        self.book().delete(id);
        self.0.noted.send_replace(());
    }

    /// Lets every change of before be told again.
    pub(crate) fn unsettle(&self) {
        self.book().unsettle();
        self.0.noted.send_replace(());
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
