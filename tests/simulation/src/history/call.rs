//! What customers ask of the gateway and the operator of the services, and what each is told.

use super::Micros;

/// The tokens of one answer, by what everybody may read in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Names both tokens: the first that anybody received are 1.
    pub number: u32,
    /// Whose they are.
    pub user: String,
    /// The session they belong to.
    pub session: String,
    /// What the access token says that its user may do.
    pub role: String,
    /// The key that signed the access token.
    pub key: String,
}

/// An account as the edge shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its id, e-mail and name.
    pub account: super::Account,
    /// What its owner may do.
    pub role: String,
    /// The tag of its version, where the answer has one.
    pub etag: Option<String>,
}

/// What may be asked for. A [`Grant`] stands for its access token, but in `Refresh` and `LogOut`, where it stands
/// for the refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A new account.
    Register {
        /// Its e-mail.
        email: String,
        /// Its name, which no other creation or change uses.
        name: String,
        /// Its password, which no other creation or change uses.
        password: String,
    },
    /// A new session.
    LogIn {
        /// Whose.
        email: String,
        /// The proof.
        password: String,
    },
    /// New tokens for old.
    Refresh(Grant),
    /// The end of a session by its refresh token.
    LogOut(Grant),
    /// The sessions of one's own.
    ListSessions(Grant),
    /// The end of one session.
    EndSession {
        /// Who asks.
        with: Grant,
        /// Which.
        session: String,
    },
    /// Another password.
    ChangePassword {
        /// Who asks.
        with: Grant,
        /// The one so far.
        current: String,
        /// The one from now on, which no other creation or change uses.
        new: String,
    },
    /// One's own account.
    ShowMe(Grant),
    /// A change of one's own account.
    ChangeMe {
        /// Who asks.
        with: Grant,
        /// The version it is meant for.
        etag: String,
        /// The new e-mail.
        email: Option<String>,
        /// The new name, which no other creation or change uses.
        name: Option<String>,
    },
    /// The end of one's own account.
    DeleteMe(Grant),
    /// An account by its id.
    ShowUser {
        /// Who asks.
        with: Grant,
        /// Which.
        id: String,
    },
    /// The keys that access tokens are checked with.
    ShowKeys,
    /// Another role, as the operator gives it.
    ChangeRole {
        /// Whose.
        id: String,
        /// Which.
        role: String,
    },
    /// The next key, as the operator makes it.
    RotateKeys,
}

/// What was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was done, and there is nothing to show.
    Done,
    /// The account as it is now.
    Account(Shown),
    /// New tokens.
    Granted(Grant),
    /// The ids of sessions.
    Sessions(Vec<String>),
    /// The ids of keys.
    Keys(Vec<String>),
    /// It cannot be, for this reason.
    Refused(Refusal),
    /// 503: it did not happen, since something that it needs is away.
    NotNow,
    /// It did not happen for another reason, and may be tried again.
    NotDone,
    /// No answer came, or one that leaves it open.
    Unknown,
    /// An answer that a right platform never gives to these callers.
    Unexpected(String),
}

/// Why something cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The token, or the password of a login, proves nothing.
    Unauthenticated,
    /// The password that is to be changed is another one.
    WrongPassword,
    /// Who asks may not.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// It contradicts what is there.
    Conflict,
}

/// One request and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who asked.
    pub client: String,
    /// For what.
    pub request: Request,
    /// When.
    pub started: Micros,
    /// When the answer was there, or given up.
    pub ended: Micros,
    /// What it was.
    pub answer: Answer,
}

impl Request {
    /// The word under which it is counted.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Register { .. } => "register",
            Self::LogIn { .. } => "log in",
            Self::Refresh(_) => "refresh",
            Self::LogOut(_) => "log out",
            Self::ListSessions(_) => "list sessions",
            Self::EndSession { .. } => "end session",
            Self::ChangePassword { .. } => "change password",
            Self::ShowMe(_) => "show me",
            Self::ChangeMe { .. } => "change me",
            Self::DeleteMe(_) => "delete me",
            Self::ShowUser { .. } => "show user",
            Self::ShowKeys => "show keys",
            Self::ChangeRole { .. } => "change role",
            Self::RotateKeys => "rotate keys",
        }
    }

    /// The tokens whose access token is shown.
    pub const fn with(&self) -> Option<&Grant> {
        match self {
            Self::ListSessions(with) | Self::ShowMe(with) | Self::DeleteMe(with) => Some(with),
            Self::EndSession { with, .. }
            | Self::ChangePassword { with, .. }
            | Self::ChangeMe { with, .. }
            | Self::ShowUser { with, .. } => Some(with),
            Self::Register { .. }
            | Self::LogIn { .. }
            | Self::Refresh(_)
            | Self::LogOut(_)
            | Self::ShowKeys
            | Self::ChangeRole { .. }
            | Self::RotateKeys => None,
        }
    }
}

impl Call {
    /// Whether it was told to be done.
    pub const fn is_acknowledged(&self) -> bool {
        matches!(
            self.answer,
            Answer::Done | Answer::Account(_) | Answer::Granted(_) | Answer::Sessions(_) | Answer::Keys(_)
        )
    }

    /// The tokens that it brought.
    pub const fn granted(&self) -> Option<&Grant> {
        match &self.answer {
            Answer::Granted(grant) => Some(grant),
            _ => None,
        }
    }

    /// Whether it may have taken effect as it was asked.
    pub const fn may_be_done(&self) -> bool {
        self.is_acknowledged() || matches!(self.answer, Answer::Unknown)
    }
}
