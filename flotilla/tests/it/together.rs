//! `flotilla up`, and an operator who uses it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chassis::Addrs;
use proto::flotilla::users::v1::accounts_service_client::AccountsServiceClient;
use proto::flotilla::users::v1::{ChangeRoleRequest, Role, VerifyCredentialsRequest};
use proto::userservice::user_service_client::UserServiceClient;
use proto::userservice::{CreateUserRequest, DeleteUserRequest, GetUserRequest, User};
use tokio::process::Command;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::program::{Program, flotilla};
use crate::{admin, operator};

/// What ends the table that it prints.
pub(crate) const LAST_LINE: &str = "Ctrl-C ends everything in order.\n";

/// Of the accounts that tests make.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// The least that Argon2 takes: passwords are not what is tested here.
pub(crate) const CHEAP: [(&str, &str); 2] = [("ARGON2_MEMORY_KIB", "8"), ("ARGON2_ITERATIONS", "1")];

/// Many platforms are tested at once, which cannot all have the port that is theirs by default.
pub(crate) const FREE: [(&str, &str); 1] = [("PUBLIC_PORT", "0")];

/// A platform that runs in the directory `data`, or a service that runs alone, and where it listens.
pub(crate) struct Running {
    pub(crate) program: Program,
    /// User-service's.
    pub(crate) addrs: Addrs,
    pub(crate) services: BTreeMap<String, Addrs>,
    /// What it printed at its start.
    pub(crate) table: String,
    operator: PathBuf,
}

/// `flotilla up` in `dir` with cheap passwords.
pub(crate) fn up_in(dir: &Path) -> Command {
    let mut command = flotilla(dir, &["up"]);
    command.envs(CHEAP).envs(FREE);
    command
}

impl Running {
    /// Starts `flotilla up` in `dir` and waits until it serves.
    pub(crate) async fn up(dir: &Path) -> Self {
        Self::started(dir, &mut up_in(dir)).await
    }

    /// Starts `command`, an `up` in `dir`, and waits until it serves.
    pub(crate) async fn started(dir: &Path, command: &mut Command) -> Self {
        let mut program = Program::start(command);
        let table = program.stdout.with(LAST_LINE).await;
        let services = services(&table);
        Self::new(program, services, table, dir.join("data/operator")).await
    }

    /// A program whose `services` listen, once all of them serve.
    pub(crate) async fn new(
        mut program: Program,
        services: BTreeMap<String, Addrs>,
        table: String,
        operator: PathBuf,
    ) -> Self {
        for (service, addrs) in &services {
            program.stderr.with(&addrs.admin.to_string()).await;
            admin::until_ready(&program.env, addrs.admin, service).await;
        }
        Self { program, addrs: services["user-service"], services, table, operator }
    }

    /// `text` with what each service listens at in place of the address.
    pub(crate) fn without_addresses(&self, text: &str) -> String {
        let addresses = self.services.iter().flat_map(|(service, Addrs { http, grpc, admin })| {
            let named = |kind: &str, addr: &SocketAddr| (addr.to_string(), format!("<{service} {kind}>"));
            [named("http", http), named("grpc", grpc), named("admin", admin)]
        });
        without_alignment(&addresses.fold(text.to_owned(), |text, (addr, name)| text.replace(&addr, &name)))
    }

    /// The first operator's account, if its password is the one in the file.
    pub(crate) async fn first_operator(&self, dir: &Path) -> Option<User> {
        let password = std::fs::read_to_string(dir.join("data/operator/password")).unwrap();
        let mut accounts = self.accounts().await;
        let id = accounts.by_login("operator@flotilla.internal", password.trim_end()).await?;
        Some(accounts.get(&id).await.unwrap())
    }

    /// Connects as the operator.
    pub(crate) async fn accounts(&self) -> Accounts {
        let channel = operator::connect(&self.program.env, &self.operator, self.addrs.grpc).await.unwrap();
        Accounts {
            users: UserServiceClient::new(channel.clone()),
            accounts: AccountsServiceClient::new(channel),
        }
    }
}

/// Columns are made for their longest cells, and ports differ in length from run to run.
pub(crate) fn without_alignment(text: &str) -> String {
    let cells = |line: &str| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.collect::<Vec<_>>().join("  ")
    };
    text.lines().map(|line| format!("{}\n", cells(line))).collect()
}

/// Where each service listens, as `up` tells it.
pub(crate) fn services(table: &str) -> BTreeMap<String, Addrs> {
    let (_, url) = table.split_once("The platform is at http://").unwrap();
    let public = url.split_once(". ").unwrap().0.parse::<SocketAddr>().unwrap();
    let row = |line: &str| {
        let mut cells = line.split_whitespace();
        let service = cells.next()?;
        let mut next = || match cells.next()? {
            "public" => Some(public),
            addr => addr.parse().ok(),
        };
        Some((service.to_owned(), Addrs { http: next()?, grpc: next()?, admin: next()? }))
    };
    table.lines().filter_map(row).collect()
}

/// The accounts, as an operator sees them. Clones share a connection.
#[derive(Clone)]
pub(crate) struct Accounts {
    users: UserServiceClient<Channel>,
    accounts: AccountsServiceClient<Channel>,
}

impl Accounts {
    pub(crate) async fn create(&mut self, email: &str) -> Result<User, Status> {
        let new = CreateUserRequest {
            email: email.to_owned(),
            name: "Ada".to_owned(),
            password: PASSWORD.to_owned(),
        };
        self.users.create_user(new).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn get(&mut self, id: &str) -> Result<User, Status> {
        self.users.get_user(GetUserRequest { id: id.to_owned() }).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn delete(&mut self, id: &str) -> Result<(), Status> {
        self.users.delete_user(DeleteUserRequest { id: id.to_owned() }).await.map(drop)
    }

    /// The id of the account with this e-mail address and password.
    pub(crate) async fn by_login(&mut self, email: &str, password: &str) -> Option<String> {
        let (email, password) = (email.to_owned(), password.to_owned());
        match self.accounts.verify_credentials(VerifyCredentialsRequest { email, password }).await {
            Ok(verified) => Some(verified.into_inner().account?.id),
            Err(refused) => {
                assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
                None
            }
        }
    }

    /// Makes a customer of an operator.
    pub(crate) async fn demote(&mut self, id: &str) {
        let change = ChangeRoleRequest { account_id: id.to_owned(), role: Role::Customer.into() };
        self.accounts.change_role(change).await.unwrap();
    }
}
