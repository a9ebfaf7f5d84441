//! `userservice.UserService`, wire for wire.

use std::mem;

use proto::userservice::user_service_server::{UserService, UserServiceServer};
use proto::userservice::{
    CreateUserRequest, DeleteUserRequest, Empty, GetUserRequest, UpdateUserRequest, User,
};
use tonic::{Request, Response, Status, async_trait};
use types::UserId;

use super::{deadline_of, parse, wrong};
use crate::account::{Account, Change, NewAccount};
use crate::directory::{Directory, DirectoryError};

pub(super) fn service(directory: Directory) -> UserServiceServer<impl UserService> {
    UserServiceServer::new(Users(directory))
}

struct Users(Directory);

#[async_trait]
impl UserService for Users {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        let deadline = deadline_of(&request);
        let id = id(&request.get_ref().id)?;
        Ok(reply(&self.0.get(id, deadline).await?))
    }

    async fn create_user(&self, request: Request<CreateUserRequest>) -> Result<Response<User>, Status> {
        let deadline = deadline_of(&request);
        let mut sent = request.into_inner();
        let password = mem::take(&mut sent.password).into();
        let new = NewAccount::parse(&sent.email, &sent.name, password).map_err(DirectoryError::Invalid)?;
        Ok(reply(&self.0.create(new, deadline).await?))
    }

    async fn update_user(&self, request: Request<UpdateUserRequest>) -> Result<Response<User>, Status> {
        let deadline = deadline_of(&request);
        let (id, change) = update(request.get_ref())?;
        Ok(reply(&self.0.change(id, &change, None, deadline).await?))
    }

    async fn delete_user(&self, request: Request<DeleteUserRequest>) -> Result<Response<Empty>, Status> {
        let deadline = deadline_of(&request);
        let id = id(&request.get_ref().id)?;
        self.0.delete(id, None, deadline).await?;
        Ok(Response::new(Empty {}))
    }
}

fn id(text: &str) -> Result<UserId, DirectoryError> {
    parse("id", text).map_err(wrong)
}

fn update(sent: &UpdateUserRequest) -> Result<(UserId, Change), DirectoryError> {
    let id = parse("id", &sent.id);
    let change = Change::of_profile(sent.email.as_deref(), sent.name.as_deref());
    match (id, change) {
        (Ok(id), Ok(change)) => Ok((id, change)),
        (id, change) => Err(DirectoryError::Invalid(
            id.err().into_iter().chain(change.err().into_iter().flatten()).collect(),
        )),
    }
}

fn reply(account: &Account) -> Response<User> {
    Response::new(User {
        id: account.id.to_string(),
        email: account.email.to_string(),
        name: account.name.as_str().to_owned(),
        role: account.role.as_str().to_owned(),
        created_at: account.created_at.to_string(),
    })
}
