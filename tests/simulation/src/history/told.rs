//! The history in words.

use std::fmt;

use super::call::{Answer, Call, Grant, Refusal, Request, Shown};
use super::{Account, Attempt, Micros, Operation, Outcome};

/// A moment as people read it: seconds with all six digits.
pub(crate) struct Moment(pub(crate) Micros);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>3}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.id, self.email, self.name)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, operation, started, ended, outcome } = self;
        write!(f, "{} {client} {operation} -> {outcome} (asked at {})", Moment(*ended), Moment(*started))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { email, name } => write!(f, "create {email} {name:?}"),
            Self::Get { id } => write!(f, "get {id}"),
            Self::Update { id, email, name } => {
                write!(f, "update {id}")?;
                write_change(f, email.as_deref(), name.as_deref())
            }
            Self::SetPassword { id } => write!(f, "set the password of {id}"),
            Self::SetRole { id, role } => write!(f, "set the role of {id} to {role}"),
            Self::Delete { id } => write!(f, "delete {id}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(None) => f.write_str("done"),
            Self::Done(Some(account)) => write!(f, "done {account}"),
            Self::NotFound => f.write_str("not found"),
            Self::EmailTaken => f.write_str("e-mail taken"),
            Self::NotDone => f.write_str("not done"),
            Self::Unknown => f.write_str("unknown"),
            Self::Unexpected(answer) => write!(f, "UNEXPECTED {answer}"),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, request, started, ended, answer } = self;
        write!(f, "{} {client} {request} -> {answer} (asked at {})", Moment(*ended), Moment(*started))
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, user, session, role, key } = self;
        write!(f, "tokens {number} of {role} {user} session {session} key {key}")
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Register { email, name, password } => write!(f, "{kind} {email} {name:?} {password:?}"),
            Self::LogIn { email, password } => write!(f, "{kind} {email} {password:?}"),
            Self::Refresh(with)
            | Self::LogOut(with)
            | Self::ListSessions(with)
            | Self::ShowMe(with)
            | Self::DeleteMe(with) => write!(f, "{kind} with {with}"),
            Self::EndSession { with, session } => write!(f, "{kind} {session} with {with}"),
            Self::ChangePassword { with, current, new } => {
                write!(f, "{kind} {current:?} to {new:?} with {with}")
            }
            Self::ChangeMe { with, etag, email, name } => {
                write!(f, "{kind} if {etag}")?;
                write_change(f, email.as_deref(), name.as_deref())?;
                write!(f, " with {with}")
            }
            Self::ShowUser { with, id } => write!(f, "{kind} {id} with {with}"),
            Self::ChangeRole { id, role } => write!(f, "{kind} {id} to {role}"),
            Self::ShowKeys | Self::RotateKeys => f.write_str(kind),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Account(Shown { account, role, .. }) => write!(f, "done {account} {role}"),
            Self::Granted(grant) => write!(f, "{grant}"),
            Self::Sessions(ids) => write!(f, "sessions {}", ids.join(" ")),
            Self::Keys(ids) => write!(f, "keys {}", ids.join(" ")),
            Self::Refused(Refusal::Unauthenticated) => f.write_str("unauthenticated"),
            Self::Refused(Refusal::WrongPassword) => f.write_str("wrong password"),
            Self::Refused(Refusal::Forbidden) => f.write_str("forbidden"),
            Self::Refused(Refusal::NotFound) => f.write_str("not found"),
            Self::Refused(Refusal::Conflict) => f.write_str("conflict"),
            Self::NotNow => f.write_str("not now"),
            Self::NotDone => f.write_str("not done"),
            Self::Unknown => f.write_str("unknown"),
            Self::Unexpected(answer) => write!(f, "UNEXPECTED {answer}"),
        }
    }
}

fn write_change(f: &mut fmt::Formatter<'_>, email: Option<&str>, name: Option<&str>) -> fmt::Result {
    email.iter().try_for_each(|email| write!(f, " {email}"))?;
    name.iter().try_for_each(|name| write!(f, " {name:?}"))
}
