//! `flotilla up`, and an operator who uses it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chassis::Addrs;
use proto::userservice::user_service_client::UserServiceClient;
use proto::userservice::{CreateUserRequest, GetUserRequest, User};
use tokio::process::Command;
use tonic::Status;
use tonic::transport::Channel;

use crate::program::{Program, flotilla};
use crate::{admin, operator};

/// What ends the table that it prints.
pub(crate) const LAST_LINE: &str = "Ctrl-C ends everything in order.\n";

/// The least that Argon2 takes: passwords are not what is tested here.
pub(crate) const CHEAP: [(&str, &str); 2] = [("ARGON2_MEMORY_KIB", "8"), ("ARGON2_ITERATIONS", "1")];

/// A platform that runs in the directory `data`, or a service that runs alone, and where it listens.
pub(crate) struct Running {
    pub(crate) program: Program,
    pub(crate) addrs: Addrs,
    /// What it printed at its start.
    pub(crate) table: String,
    operator: PathBuf,
}

/// `flotilla up` in `dir` with cheap passwords.
pub(crate) fn up_in(dir: &Path) -> Command {
    let mut command = flotilla(dir, &["up"]);
    command.envs(CHEAP);
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
        let line = table.lines().find(|line| line.starts_with("user-service")).unwrap();
        let mut addrs = line.split_whitespace().skip(1).map(|addr| addr.parse::<SocketAddr>());
        let mut next = || addrs.next().unwrap().unwrap();
        let addrs = Addrs { http: next(), grpc: next(), admin: next() };
        Self::new(program, addrs, table, dir.join("data/operator")).await
    }

    /// A program that listens at `addrs`, once it serves.
    pub(crate) async fn new(mut program: Program, addrs: Addrs, table: String, operator: PathBuf) -> Self {
        program.stderr.with("serving").await;
        assert_eq!(admin::status(&program.env, addrs.admin, "/health/ready").await, 200);
        Self { program, addrs, table, operator }
    }

    /// Connects as the operator.
    pub(crate) async fn accounts(&self) -> Accounts {
        let channel = operator::connect(&self.program.env, &self.operator, self.addrs.grpc).await.unwrap();
        Accounts(UserServiceClient::new(channel))
    }
}

/// The accounts, as an operator sees them. Clones share a connection.
#[derive(Clone)]
pub(crate) struct Accounts(UserServiceClient<Channel>);

impl Accounts {
    pub(crate) async fn create(&mut self, email: &str) -> Result<User, Status> {
        let new = CreateUserRequest {
            email: email.to_owned(),
            name: "Ada".to_owned(),
            password: "correct horse battery".to_owned(),
        };
        self.0.create_user(new).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn get(&mut self, id: &str) -> Result<User, Status> {
        self.0.get_user(GetUserRequest { id: id.to_owned() }).await.map(tonic::Response::into_inner)
    }
}
