//! How messages that carry a password are printed: without it.

use std::fmt;

use crate::flotilla::users::v1::{ChangePasswordRequest, VerifyCredentialsRequest};
use crate::userservice::CreateUserRequest;

impl fmt::Debug for CreateUserRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("CreateUserRequest");
        shown.field("email", &self.email).field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for VerifyCredentialsRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyCredentialsRequest").field("email", &self.email).finish_non_exhaustive()
    }
}

impl fmt::Debug for ChangePasswordRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangePasswordRequest").field("account_id", &self.account_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_printed() {
        let password = "correct horse".to_owned();
        let printed = [
            format!("{:?}", CreateUserRequest { password: password.clone(), ..Default::default() }),
            format!("{:?}", VerifyCredentialsRequest { password: password.clone(), ..Default::default() }),
            format!(
                "{:?}",
                ChangePasswordRequest {
                    current_password: Some(password.clone()),
                    new_password: password,
                    ..Default::default()
                }
            ),
        ];
        assert!(printed.iter().all(|text| !text.contains("horse")), "{printed:?}");
    }
}
