//! Which access tokens the platform may take, and which it must.

use std::collections::BTreeMap;

use crate::history::{Answer, Call, Circumstances, Grant, Micros, Refusal, Request};

use super::credentials::span;
use super::life::Span;
use super::sessions::Sessions;

/// How long after the end of a session was acknowledged a gateway may still take its access tokens, while the stream
/// of revocations is up: every instance looks for those of others twice a second.
pub const REVOKED_WITHIN: Micros = 1_500_000;

/// The same where the account has changed: its change travels to auth-service first, by a stream of its own.
pub const ACCOUNT_REVOKED_WITHIN: Micros = 3_000_000;

/// What access tokens depend on.
pub(super) struct Gate<'a> {
    sessions: &'a Sessions<'a>,
    circumstances: &'a Circumstances,
    /// When the answer that brought a token was asked for, and when it was there.
    issued: BTreeMap<u32, Span>,
    /// The changes of role, by user.
    roles: BTreeMap<&'a str, Vec<(Span, &'a str)>>,
}

/// Why a token must be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Void {
    /// Its session has ended.
    Ended,
    /// It says another role than its user has.
    OldRole,
}

impl<'a> Gate<'a> {
    pub(super) fn new(
        calls: &'a [Call],
        sessions: &'a Sessions<'a>,
        circumstances: &'a Circumstances,
    ) -> Self {
        let mut gate = Self { sessions, circumstances, issued: BTreeMap::new(), roles: BTreeMap::new() };
        for call in calls {
            if let Some(grant) = call.granted() {
                gate.issued.insert(grant.number, Span { from: call.started, to: Some(call.ended) });
            }
            if let (Request::ChangeRole { id, role }, Some(span)) = (&call.request, span(call)) {
                gate.roles.entry(id).or_default().push((span, role));
            }
        }
        gate
    }

    /// Whether the answer to a request with an access token can be right.
    pub(super) fn check(&self, call: &Call) -> Result<(), &'static str> {
        let Some(with) = call.request.with() else { return Ok(()) };
        let is_told = !matches!(call.answer, Answer::NotNow | Answer::NotDone | Answer::Unknown);
        if is_told && self.circumstances.are_keyless(call.started, call.ended) {
            return Err("a token is judged without a key");
        }
        match call.answer {
            Answer::Refused(Refusal::Unauthenticated) => self.check_refusal(call, with),
            _ if !is_told => Ok(()),
            _ => match self.void(call, with) {
                Some(Void::Ended) => Err("an access token is taken long after its session has ended"),
                Some(Void::OldRole) => Err("an access token is taken long after its user has another role"),
                None => Ok(()),
            },
        }
    }

    /// Why the platform must have known by then that the token is not to be taken, if it must.
    pub(super) fn void(&self, call: &Call, with: &Grant) -> Option<Void> {
        let ended = self.sessions.get(&with.session).and_then(|session| session.end());
        if ended.is_some_and(|(since, is_of_account)| self.is_known(since, is_of_account, call.started)) {
            return Some(Void::Ended);
        }
        let changes = self.roles.get(with.user.as_str()).into_iter().flatten();
        let issued = self.issued.get(&with.number).and_then(|issued| issued.to)?;
        let since = changes.filter(|(change, role)| issued < change.from && *role != with.role);
        let mut since = since.filter_map(|(change, _)| change.to);
        since.any(|since| self.is_known(since, true, call.started)).then_some(Void::OldRole)
    }

    /// Whether what was acknowledged at `since` must be known to the gateway by `moment`. What comes from an account is
    /// written again on the way, in auth-service.
    fn is_known(&self, since: Micros, is_of_account: bool, moment: Micros) -> bool {
        if is_of_account {
            self.circumstances.could_write(since, moment, ACCOUNT_REVOKED_WITHIN)
        } else {
            self.circumstances.were_well(since, moment, REVOKED_WITHIN)
        }
    }

    fn check_refusal(&self, call: &Call, with: &Grant) -> Result<(), &'static str> {
        let session = self.sessions.get(&with.session);
        let may_have_ended = session.is_none_or(|session| session.may_have_ended_by(call));
        let changes = self.roles.get(with.user.as_str()).into_iter().flatten();
        let issued = self.issued.get(&with.number).map_or(0, |issued| issued.from);
        // A change that was over before the token was asked for is in the token.
        let mut concerning = changes
            .filter(|(change, _)| change.from <= call.ended && change.to.is_none_or(|to| issued <= to));
        if may_have_ended || concerning.next().is_some() {
            return Ok(());
        }
        Err("an access token that holds is refused")
    }
}
