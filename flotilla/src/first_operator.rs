//! The account of the first operator, which the first start makes.
//!
//! Two files tell how far that is, each durable before what follows it: `operator/password`, then the account itself,
//! then `first-operator`. A start that was cut off in between is completed by the next one; once the last file is
//! there, the account is its owner's to change or delete, and no start makes it anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use runtime::Random;
use secrecy::SecretString;
use types::{Classify as _, Email, ErrorClass};

use crate::accounts::Accounts;
use crate::data_dir::{DataDirError, refused};
use crate::durable::{self, FOR_ITS_OWNER};
use crate::error::Error;
use crate::secret_file;

/// In the domain that is reserved for private use: no mail server has it.
const EMAIL: &str = "operator@flotilla.internal";
const NAME: &str = "Operator";

/// Where the first start stands with the operator's account.
pub(crate) struct FirstOperator {
    password: PathBuf,
    made: PathBuf,
}

impl FirstOperator {
    pub(crate) fn in_directory(data_dir: &Path) -> Self {
        Self { password: data_dir.join("operator/password"), made: data_dir.join("first-operator") }
    }

    /// Whether an earlier start has seen to it.
    pub(crate) fn is_made(&self) -> bool {
        self.made.exists()
    }

    /// What there is to tell about it, as long as the file with its password is there.
    pub(crate) fn told(&self) -> Option<String> {
        let file = self.password.exists().then(|| self.password.display())?;
        Some(format!("The first start made {EMAIL} an operator; the password it had then is in {file}."))
    }

    /// Makes the account. Nobody but the platform may reach user-service meanwhile.
    pub(crate) async fn make(&self, mut accounts: Accounts, random: &Random) -> Result<(), Error> {
        let email = Email::from_str(EMAIL).expect("it is an e-mail address");
        let password = self.password(random)?;
        let own = match accounts.create(&email, NAME, &password).await {
            Ok(id) => Some(id),
            // By an earlier start that was cut off, or else by somebody who must not become an operator by it.
            Err(taken) if taken.class() == ErrorClass::Conflict => accounts.verify(&email, &password).await?,
            Err(error) => return Err(error.into()),
        };
        match own {
            Some(id) => accounts.promote(id).await?,
            None => self.leave_to_its_owner()?,
        }
        let made = durable::replace(&self.made, &format!("{EMAIL}\n"), FOR_ITS_OWNER);
        Ok(made.map_err(refused("writing", &self.made))?)
    }

    /// The password of an earlier start that was cut off, or else a new one.
    fn password(&self, random: &Random) -> Result<SecretString, DataDirError> {
        match secret_file::read(&self.password)? {
            Some(password) => Ok(password),
            None => secret_file::make(&self.password, &random.bytes::<16>()),
        }
    }

    /// The address has an account of somebody else.
    fn leave_to_its_owner(&self) -> Result<(), DataDirError> {
        tracing::warn!(
            email = EMAIL,
            "somebody else has the first operator's address; `flotilla operators add` makes an operator"
        );
        fs::remove_file(&self.password).map_err(refused("removing", &self.password))
    }
}
