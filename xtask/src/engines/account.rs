use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;

/// Whom the server runs as: PostgreSQL refuses to run as root, so root lends it Debian's `postgres`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    Caller,
    Postgres,
}

impl Account {
    pub(crate) fn of_server() -> Self {
        if is_root() { Self::Postgres } else { Self::Caller }
    }

    /// What stands before a command that runs as this account.
    pub(crate) fn prefix(self) -> Option<[&'static str; 4]> {
        match self {
            Self::Caller => None,
            Self::Postgres => Some(["runuser", "-u", "postgres", "--"]),
        }
    }

    /// `program` as this account, in a folder that the account can enter.
    pub(crate) fn command(self, program: &Path, dir: &Path) -> Command {
        let mut command = match self.prefix() {
            None => Command::new(program),
            Some([runuser, args @ ..]) => {
                let mut command = Command::new(runuser);
                command.args(args).arg(program);
                command
            }
        };
        command.current_dir(dir);
        command
    }

    /// Gives a file or folder to this account.
    pub(crate) fn own(self, path: &Path) -> Result<()> {
        match self {
            Self::Caller => Ok(()),
            Self::Postgres => process::read(Command::new("chown").arg("postgres").arg(path))
                .map(drop)
                .context("the server's files must belong to the account `postgres`"),
        }
    }
}

pub(crate) fn is_root() -> bool {
    process::read(Command::new("id").arg("-u")).is_ok_and(|uid| uid.trim() == "0")
}
