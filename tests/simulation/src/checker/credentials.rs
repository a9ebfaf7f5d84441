//! Passwords and roles: what each login proves, and what each token says.

use std::collections::BTreeMap;

use crate::history::{Answer, Call, Micros, Refusal, Request};

use super::accounts::Accounts;
use super::edge::proofs;
use super::life::{Field, Span, Write};

/// What user-service keeps of each account and does not show, by the account's id.
#[derive(Debug, Default)]
pub(super) struct Credentials<'a>(BTreeMap<&'a str, Secrets<'a>>);

#[derive(Debug, Default)]
struct Secrets<'a> {
    passwords: Field<'a>,
    roles: Field<'a>,
}

/// What an account may do that nobody has given another role.
pub(super) const FIRST_ROLE: &str = "customer";

impl<'a> From<&'a [Call]> for Credentials<'a> {
    fn from(calls: &'a [Call]) -> Self {
        let mut all = Self::default();
        let proofs = proofs(calls);
        for (index, call) in calls.iter().enumerate() {
            let Request::Register { password, .. } = &call.request else { continue };
            if let Answer::Account(shown) = &call.answer {
                all.begin(&shown.account.id, password, call.started, call.ended);
            }
            let proof = proofs.get(&index).and_then(|login| Some((login.granted()?, login.ended)));
            if let Some((grant, ended)) = proof {
                all.begin(&grant.user, password, call.started, ended);
            }
        }
        calls.iter().for_each(|call| all.add_change(call));
        all
    }
}

impl<'a> Credentials<'a> {
    fn begin(&mut self, id: &'a str, password: &'a str, from: Micros, to: Micros) {
        let span = Span { from, to: Some(to) };
        let secrets = self.0.entry(id).or_default();
        secrets.passwords.0.push(Write { value: password, beside: None, span });
        secrets.roles.0.push(Write { value: FIRST_ROLE, beside: None, span });
    }

    fn add_change(&mut self, call: &'a Call) {
        let Some(span) = span(call) else { return };
        match &call.request {
            Request::ChangePassword { with, new, .. } => {
                if let Some(secrets) = self.0.get_mut(with.user.as_str()) {
                    secrets.passwords.0.push(Write { value: new, beside: None, span });
                }
            }
            Request::ChangeRole { id, role } => {
                if let Some(secrets) = self.0.get_mut(id.as_str()) {
                    secrets.roles.0.push(Write { value: role, beside: None, span });
                }
            }
            _ => {}
        }
    }

    /// Whether what the answer says of passwords and roles can be true.
    pub(super) fn check(&self, call: &Call, accounts: &Accounts<'_>) -> Result<(), &'static str> {
        match (&call.request, &call.answer) {
            (Request::LogIn { email, password }, Answer::Granted(grant)) => {
                self.check_login(email, password, &grant.user, call, accounts)?;
                self.check_role(&grant.user, &grant.role, call)
            }
            (Request::Refresh(_), Answer::Granted(grant)) => {
                self.check_role(&grant.user, &grant.role, call)?;
                self.check_life(&grant.user, call, accounts)
            }
            (_, Answer::Account(shown)) => self.check_role(&shown.account.id, &shown.role, call),
            (Request::LogIn { email, password }, Answer::Refused(Refusal::Unauthenticated)) => {
                self.check_refused_login(email, password, call, accounts)
            }
            (Request::ChangePassword { with, current, .. }, Answer::Done) => {
                self.check_password(&with.user, current, call)
            }
            (Request::ChangePassword { with, current, .. }, Answer::Refused(Refusal::WrongPassword)) => {
                if self.certainly_has(&with.user, current, call) {
                    Err(RIGHT_REFUSED)
                } else {
                    Ok(())
                }
            }
            _ => Ok(()),
        }
    }

    fn check_login(
        &self,
        email: &str,
        password: &str,
        user: &str,
        call: &Call,
        accounts: &Accounts<'_>,
    ) -> Result<(), &'static str> {
        self.check_life(user, call, accounts)?;
        let emails = accounts.life(user).map(|life| life.emails.shown(email, call.started, call.ended));
        if emails.is_none_or(|shown| shown.is_empty()) {
            return Err("a login under an e-mail that the account cannot have then");
        }
        self.check_password(user, password, call)
    }

    fn check_life(&self, user: &str, call: &Call, accounts: &Accounts<'_>) -> Result<(), &'static str> {
        match accounts.life(user) {
            None => Err("tokens for an account that nobody made"),
            Some(life) if life.ended_before(call.started) => Err("tokens for a deleted account"),
            Some(_) => Ok(()),
        }
    }

    fn check_password(&self, user: &str, password: &str, call: &Call) -> Result<(), &'static str> {
        let secrets = self.0.get(user);
        let shown = secrets.map(|secrets| secrets.passwords.shown(password, call.started, call.ended));
        if shown.is_none_or(|shown| shown.is_empty()) {
            return Err("a password that the account cannot have then is taken");
        }
        Ok(())
    }

    fn check_role(&self, user: &str, role: &str, call: &Call) -> Result<(), &'static str> {
        let secrets = self.0.get(user);
        let shown = secrets.map(|secrets| secrets.roles.shown(role, call.started, call.ended));
        if shown.is_none_or(|shown| shown.is_empty()) {
            return Err("a role that the account cannot have then");
        }
        Ok(())
    }

    /// Whether no account certainly had that e-mail and that password all the while.
    fn check_refused_login(
        &self,
        email: &str,
        password: &str,
        call: &Call,
        accounts: &Accounts<'_>,
    ) -> Result<(), &'static str> {
        let is_refused_wrongly = |(id, secrets): (&&str, &Secrets<'_>)| {
            let Some(life) = accounts.life(id) else { return false };
            life.emails.certainly_was(email, &life.deletions, call.started, call.ended)
                && secrets.passwords.certainly_was(password, &[], call.started, call.ended)
        };
        if self.0.iter().any(is_refused_wrongly) {
            return Err(RIGHT_REFUSED);
        }
        Ok(())
    }

    /// Whether the account certainly had the password all the while.
    fn certainly_has(&self, user: &str, password: &str, call: &Call) -> bool {
        let secrets = self.0.get(user);
        secrets
            .is_some_and(|secrets| secrets.passwords.certainly_was(password, &[], call.started, call.ended))
    }
}

const RIGHT_REFUSED: &str = "the right password is refused";

/// When the call took effect, if it may have at all.
pub(super) fn span(call: &Call) -> Option<Span> {
    let to = call.is_acknowledged().then_some(call.ended);
    call.may_be_done().then_some(Span { from: call.started, to })
}
