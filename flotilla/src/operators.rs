use std::io::{self, Write as _};

use proto::flotilla::users::v1::Role;

use crate::accounts::Accounts;
use crate::cli::AddOperator;
use crate::error::Error;
use crate::operator::Operator;
use crate::password::new_password;
use crate::run::USER_SERVICE;

/// Makes an account with the operator's role, or gives the role to the account that the e-mail address has. What was
/// done of it in part is completed by doing it again.
pub(crate) async fn add(operator: &Operator, asked: &AddOperator) -> Result<(), Error> {
    let mut accounts = Accounts::over(&operator.channel(&USER_SERVICE)?);
    let AddOperator { email, name } = asked;
    let told = match accounts.find(email).await? {
        Some(account) if account.role() == Role::Operator => "is an operator already",
        Some(account) => {
            accounts.promote(account.id).await?;
            "is an operator now, with the account and the password it has had"
        }
        None => {
            let password = new_password(&operator.env.tasks, email.as_str()).await?;
            let name = name.as_deref().unwrap_or_else(|| before_the_at(email.as_str()));
            let id = accounts.create(email, name, &password).await?;
            accounts.promote(id).await?;
            "has a new account and is an operator"
        }
    };
    // It is done, whether anybody reads this or not.
    drop(writeln!(io::stdout(), "{email} {told}."));
    Ok(())
}

fn before_the_at(email: &str) -> &str {
    email.split_once('@').map_or(email, |(name, _)| name)
}
