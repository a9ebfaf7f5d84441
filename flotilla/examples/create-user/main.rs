//! A client of the platform: creates an account as the operator, and reads it back.
//!
//! `cargo run --release --example create-user -- ADDRESS EMAIL NAME`, where `ADDRESS` is what `up` shows under `GRPC`,
//! started in the directory that `up` was started in. The password is a line on stdin, because every user of the
//! machine can read a command line.

mod operator;

use std::error::Error;
use std::io::{self, Write as _};
use std::path::Path;

use proto::userservice::user_service_client::UserServiceClient;
use proto::userservice::{CreateUserRequest, GetUserRequest};
use runtime::Env;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Ok([addr, email, name]) = <[String; 3]>::try_from(arguments) else {
        return Err("must be told ADDRESS EMAIL NAME, and the password on stdin".into());
    };
    let password = io::stdin().lines().next().ok_or("must be told the password on stdin")??;
    let channel = operator::connect(&Env::system(1), Path::new("data/operator"), addr.parse()?).await?;
    let mut users = UserServiceClient::new(channel);
    let created = users.create_user(CreateUserRequest { email, name, password }).await?.into_inner();
    let read = users.get_user(GetUserRequest { id: created.id }).await?.into_inner();
    Ok(writeln!(io::stdout(), "{read:#?}")?)
}
