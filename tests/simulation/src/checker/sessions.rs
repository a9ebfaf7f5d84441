//! What happened to each session, and whether that can be.

mod rule;
mod search;

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Answer, Call, Grant, Micros, Refusal, Request};

use super::life::Span;

use self::rule::{Act, Token, Told};
use self::search::{Step, Stuck, explain};

/// The history by session.
#[derive(Debug, Default)]
pub(super) struct Sessions<'a> {
    sessions: BTreeMap<&'a str, Session<'a>>,
    /// What each password of a user took the place of.
    passwords: BTreeMap<(&'a str, &'a str), &'a str>,
}

/// A session whose login was answered.
#[derive(Debug)]
pub(super) struct Session<'a> {
    id: &'a str,
    pub(super) user: &'a str,
    password: &'a str,
    steps: Vec<Step<'a>>,
}

impl<'a> From<&'a [Call]> for Sessions<'a> {
    fn from(calls: &'a [Call]) -> Self {
        let mut all = Self::default();
        calls.iter().for_each(|call| all.add_login(call));
        calls.iter().for_each(|call| all.add_password(call));
        calls.iter().for_each(|call| all.add_steps(call));
        all
    }
}

impl<'a> Sessions<'a> {
    pub(super) fn get(&self, id: &str) -> Option<&Session<'a>> {
        self.sessions.get(id)
    }

    /// The sessions that no order of what happened explains.
    pub(super) fn contradictions(&self) -> Vec<String> {
        self.sessions.values().filter_map(Session::contradiction).collect()
    }

    /// How many tokens yielded although they had been used before.
    pub(super) fn repeated(&self) -> u32 {
        let repeated = |session: &Session<'_>| {
            let mut used = BTreeSet::new();
            let again = session.refreshes().filter(|(token, _)| !used.insert(*token));
            again.filter(|(_, told)| matches!(told, Told::Granted(_))).count()
        };
        small(self.sessions.values().map(repeated).sum())
    }

    /// How many tokens yielded nothing, because all has ended.
    pub(super) fn refused(&self) -> u32 {
        let refreshes = self.sessions.values().flat_map(Session::refreshes);
        small(refreshes.filter(|(_, told)| *told == Told::Refused).count())
    }

    fn add_login(&mut self, call: &'a Call) {
        let (Request::LogIn { password, .. }, Some(grant)) = (&call.request, call.granted()) else { return };
        let span = Span { from: call.started, to: Some(call.ended) };
        let begin = Step { act: Act::Begin(grant.number), span, call };
        // A second login of the same session is one contradiction more within it.
        let session = self.sessions.entry(&grant.session).or_insert_with(|| Session {
            id: &grant.session,
            user: &grant.user,
            password,
            steps: Vec::new(),
        });
        session.steps.push(begin);
    }

    fn add_password(&mut self, call: &'a Call) {
        if let Request::ChangePassword { with, current, new } = &call.request {
            self.passwords.insert((&with.user, new), current);
        }
    }

    fn add_steps(&mut self, call: &'a Call) {
        match &call.request {
            Request::Refresh(with) => self.add_refresh(call, with),
            Request::LogOut(with) => {
                let may_end = call.may_be_done() || call.answer == Answer::Refused(Refusal::Unauthenticated);
                if may_end {
                    self.add(&with.session, call, Act::End);
                }
            }
            Request::EndSession { with, session } => self.add_end(call, with, session),
            Request::ChangePassword { with, current, new } if call.may_be_done() => {
                for id in self.ended_by(with, current, new) {
                    self.add(id, call, Act::End);
                }
            }
            Request::DeleteMe(with) if call.may_be_done() => {
                for id in self.of(&with.user) {
                    self.add(id, call, Act::Orphan);
                }
            }
            Request::ListSessions(with) => {
                let Answer::Sessions(listed) = &call.answer else { return };
                for id in self.of(&with.user) {
                    let is_listed = listed.iter().any(|listed| listed == id);
                    self.add(id, call, if is_listed { Act::Listed } else { Act::Missing });
                }
            }
            _ => {}
        }
    }

    fn add_refresh(&mut self, call: &'a Call, with: &'a Grant) {
        /// Beyond the numbers of tokens that were received.
        const UNHEARD: Token = 1 << 31;
        let Some(session) = self.sessions.get(with.session.as_str()) else { return };
        let unheard = UNHEARD + Token::try_from(session.steps.len()).expect("a run has some thousand calls");
        let told = match &call.answer {
            Answer::Granted(grant) => Told::Granted(grant.number),
            Answer::Refused(_) => Told::Refused,
            Answer::Unknown => Told::Nothing(unheard),
            _ => return,
        };
        self.add(&with.session, call, Act::Refresh(with.number, told));
    }

    fn add_end(&mut self, call: &'a Call, with: &'a Grant, id: &'a str) {
        if self.sessions.get(id).is_none_or(|session| session.user != with.user) {
            return;
        }
        match call.answer {
            Answer::Done => self.add(id, call, Act::EndFound),
            Answer::Unknown => self.add(id, call, Act::End),
            Answer::Refused(Refusal::NotFound) => self.add(id, call, Act::Missing),
            _ => {}
        }
    }

    fn add(&mut self, id: &str, call: &'a Call, act: Act) {
        // A logout that was refused may have ended the session all the same, as a second use of its token does.
        let is_certain = match call.answer {
            Answer::Unknown => false,
            Answer::Refused(_) => act != Act::End,
            _ => true,
        };
        let span = Span { from: call.started, to: is_certain.then_some(call.ended) };
        if let Some(session) = self.sessions.get_mut(id) {
            session.steps.push(Step { act, span, call });
        }
    }

    fn of(&self, user: &str) -> Vec<&'a str> {
        self.sessions.values().filter(|session| session.user == user).map(|session| session.id).collect()
    }

    /// The sessions that a change of password ends: the user's others, except those that began with the new password
    /// or one that came after it.
    fn ended_by(&self, with: &Grant, current: &str, new: &str) -> Vec<&'a str> {
        let others = self.of(&with.user).into_iter().filter(|id| *id != with.session);
        let began_before = |id: &&str| {
            let password = self.sessions[id].password;
            password == current || !self.is_descendant(&with.user, password, new)
        };
        others.filter(began_before).collect()
    }

    /// Whether `password` is `of`, or took its place later.
    fn is_descendant(&self, user: &str, password: &str, of: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut next = Some(password);
        while let Some(password) = next.filter(|password| seen.insert(*password)) {
            if password == of {
                return true;
            }
            next = self.passwords.get(&(user, password)).copied();
        }
        false
    }
}

impl Session<'_> {
    fn contradiction(&self) -> Option<String> {
        let why = match explain(&self.steps).err()? {
            Stuck::TooMany => return Some(format!("too much happened to session {} to check it", self.id)),
            Stuck::At(step) => (step.act.complaint(), step.call),
        };
        Some(format!("{} (session {}): {}", why.0, self.id, why.1))
    }

    /// From when on the session has certainly ended, and whether that may have to come from the account first.
    pub(super) fn end(&self) -> Option<(Micros, bool)> {
        let is_end = |act: &Act| {
            matches!(act, Act::End | Act::EndFound | Act::Orphan | Act::Refresh(_, Told::Refused))
        };
        let ends = self.steps.iter().filter(|step| is_end(&step.act));
        let first = ends.filter_map(|step| step.span.to).min()?;
        let is_orphan = |step: &Step<'_>| step.act == Act::Orphan && step.span.from <= first;
        Some((first, self.steps.iter().any(is_orphan)))
    }

    /// Whether the session may have ended before `refusal` was told; also if what happened until then explains nothing.
    pub(super) fn may_have_ended_by(&self, refusal: &Call) -> bool {
        let until = refusal.ended;
        let mut steps: Vec<_> = self.steps.iter().filter(|step| step.span.from <= until).cloned().collect();
        if explain(&steps).is_err() {
            return true;
        }
        let span = Span { from: refusal.started, to: Some(until) };
        steps.push(Step { act: Act::Missing, span, call: refusal });
        !matches!(explain(&steps), Err(Stuck::At(_)))
    }

    fn refreshes(&self) -> impl Iterator<Item = (Token, Told)> {
        self.steps.iter().filter_map(|step| match step.act {
            Act::Refresh(token, told) => Some((token, told)),
            _ => None,
        })
    }
}

fn small(count: usize) -> u32 {
    u32::try_from(count).expect("a run has some thousand calls")
}

impl Act {
    /// What is wrong if it is impossible.
    fn complaint(&self) -> &'static str {
        match self {
            Self::Begin(_) => "a login brings a session that was there",
            Self::Refresh(_, Told::Granted(_)) => "new tokens that the rule does not allow",
            Self::Refresh(_, _) => "an acknowledged session is lost",
            Self::EndFound => "a session ends twice",
            Self::End | Self::Orphan => unreachable!("they can happen to any session at any time"),
            Self::Listed => "an ended session is listed",
            Self::Missing => "an acknowledged session is not found",
        }
    }
}
