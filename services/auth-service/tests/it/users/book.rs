//! The accounts themselves.

use std::collections::BTreeMap;

use proto::flotilla::users::v1::{Account, Change, ChangeKind, Role};
use proto::userservice::User;
use uuid::Uuid;

/// What is written down.
#[derive(Default)]
pub(super) struct Book {
    accounts: BTreeMap<Uuid, Entry>,
    /// Those that are not settled.
    pub(super) changes: BTreeMap<String, Change>,
    settled: BTreeMap<String, Change>,
    /// How often changes were brought back.
    pub(super) unsettled: u32,
    made: u128,
}

struct Entry {
    email: String,
    name: String,
    password: String,
    role: Role,
    version: i64,
}

impl Book {
    pub(super) fn add(&mut self, email: &str, name: &str, password: &str) -> Option<User> {
        let email = email.to_lowercase();
        if self.accounts.values().any(|entry| entry.email == email) {
            return None;
        }
        let (name, password) = (name.to_owned(), password.to_owned());
        let user = User {
            id: self.next_id().to_string(),
            email: email.clone(),
            name: name.clone(),
            role: "customer".to_owned(),
            created_at: "2026-01-31T12:00:00.000000Z".to_owned(),
        };
        let entry = Entry { email, name, password, role: Role::Customer, version: 1 };
        self.accounts.insert(user.id.parse().unwrap(), entry);
        Some(user)
    }

    pub(super) fn verify(&self, email: &str, password: &str) -> Option<Account> {
        let email = email.to_lowercase();
        let mut found = self.accounts.iter().filter(|(_, entry)| entry.email == email);
        found.find(|(_, entry)| entry.password == password).map(|(id, entry)| told(*id, entry))
    }

    pub(super) fn has_password(&self, id: Uuid, password: &str) -> bool {
        self.accounts.get(&id).is_some_and(|entry| entry.password == password)
    }

    pub(super) fn get(&self, id: Uuid) -> Option<Account> {
        self.accounts.get(&id).map(|entry| told(id, entry))
    }

    pub(super) fn rename(&mut self, id: Uuid) {
        let entry = self.accounts.get_mut(&id).unwrap();
        entry.name.push('!');
        entry.version += 1;
    }

    /// Gives the account back the version that it began with.
    pub(super) fn put_back(&mut self, id: Uuid) {
        self.accounts.get_mut(&id).unwrap().version = 1;
    }

    pub(super) fn change_role(&mut self, id: Uuid, role: Role) {
        let entry = self.accounts.get_mut(&id).unwrap();
        entry.role = role;
        entry.version += 1;
        let version = entry.version;
        self.note(id, ChangeKind::Role, version, None);
    }

    pub(super) fn change_password(&mut self, id: Uuid, password: &str, kept: Option<String>) {
        let entry = self.accounts.get_mut(&id).unwrap();
        entry.password = password.to_owned();
        entry.version += 1;
        let version = entry.version;
        self.note(id, ChangeKind::Password, version, kept);
    }

    pub(super) fn delete(&mut self, id: Uuid) {
        let version = self.accounts.remove(&id).unwrap().version + 1;
        self.note(id, ChangeKind::Deleted, version, None);
    }

    pub(super) fn settle(&mut self, ids: &[String]) {
        for id in ids {
            self.settled.extend(self.changes.remove_entry(id));
        }
    }

    pub(super) fn unsettle(&mut self) {
        self.changes.append(&mut self.settled);
        self.unsettled += 1;
    }

    fn note(&mut self, account: Uuid, kind: ChangeKind, version: i64, kept_session: Option<String>) {
        let (id, account_id) = (self.next_id().to_string(), account.to_string());
        let change = Change { id: id.clone(), account_id, kind: kind.into(), version, kept_session };
        self.changes.insert(id, change);
    }

    fn next_id(&mut self) -> Uuid {
        self.made += 1;
        Uuid::from_u128(self.made)
    }
}

fn told(id: Uuid, entry: &Entry) -> Account {
    Account { id: id.to_string(), role: entry.role.into(), version: entry.version }
}
