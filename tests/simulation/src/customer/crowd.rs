//! What customers know of each other, and what they want: a seeded mix of requests in which they get in each other's
//! way, several of them being one person with several devices.

use runtime::Random;

use crate::history::{Answer, Call, Grant, Refusal, Request};

use super::tokens::Tokens;

/// So few that registrations collide and a person has several sessions.
const PEOPLE: u64 = 24;

/// What all customers know.
#[derive(Debug, Default)]
pub struct Crowd {
    people: Vec<Person>,
    /// The tokens of the sessions that nobody was told have ended.
    current: Vec<Grant>,
    /// Tokens that were replaced, or whose session was ended.
    past: Vec<Grant>,
    tokens: Tokens,
    drawn: u64,
}

/// Somebody who has an account, or may have one.
#[derive(Clone, Debug)]
struct Person {
    email: String,
    /// The one that is most likely right comes last.
    passwords: Vec<String>,
    /// Known once somebody was told.
    id: Option<String>,
    /// The version that was seen last.
    etag: Option<String>,
    /// What the operator said last.
    role: Option<String>,
}

impl Crowd {
    pub(super) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    pub(super) fn tokens_mut(&mut self) -> &mut Tokens {
        &mut self.tokens
    }

    /// The ids of accounts that nobody was told are gone.
    pub(crate) fn ids(&self) -> Vec<&str> {
        self.people.iter().filter_map(|person| person.id.as_deref()).collect()
    }

    /// What shows that nothing which was acknowledged is lost: a refresh of each session, a login of each person.
    pub(super) fn proofs(&self) -> Vec<Request> {
        let refreshes = self.current.iter().cloned().map(Request::Refresh);
        refreshes.chain(self.people.iter().filter_map(Person::log_in)).collect()
    }

    /// What to ask for next, all of it at once: mostly one thing, at times several refreshes with one token.
    pub(super) fn draw(&mut self, random: &Random) -> Vec<Request> {
        let number = random.below(100);
        let drawn = match number {
            0..10 => Some(self.register(random)),
            10..22 => pick(&self.people, random).and_then(Person::log_in),
            22..24 => pick(&self.people, random).map(|person| self.guess(person)),
            24..42 => return self.refresh(random),
            _ => self.draw_with_token(number, random),
        };
        vec![drawn.unwrap_or_else(|| self.register(random))]
    }

    fn draw_with_token(&mut self, number: u64, random: &Random) -> Option<Request> {
        let with = pick(&self.current, random).cloned();
        let old = self.pick_old(random);
        Some(match number {
            42..45 => Request::Refresh(old?),
            45..49 => Request::LogOut(with?),
            49..52 => self.end_session(with?, random),
            52..57 => Request::ListSessions(with?),
            57..61 => return self.change_password(with?),
            61..72 => Request::ShowMe(with?),
            72..79 => return self.change_me(with?, random),
            79..80 => Request::DeleteMe(with?),
            80..85 => self.show_user(with?, random),
            85..88 => Request::ShowKeys,
            _ => self.try_old(old?, random),
        })
    }

    fn register(&mut self, random: &Random) -> Request {
        self.drawn += 1;
        let (email, name, password) = (email(random), self.name(), self.password());
        Request::Register { email, name, password }
    }

    fn guess(&self, person: &Person) -> Request {
        Request::LogIn { email: person.email.clone(), password: format!("guess at no. {}", self.drawn) }
    }

    /// One refresh, or several that meet within the service.
    fn refresh(&mut self, random: &Random) -> Vec<Request> {
        let Some(with) = pick(&self.current, random) else { return vec![self.register(random)] };
        let times = match random.below(10) {
            0..7 => 1,
            7..9 => 2,
            _ => 3,
        };
        vec![Request::Refresh(with.clone()); times]
    }

    /// The end of a session of one's own, at times of somebody else's.
    fn end_session(&self, with: Grant, random: &Random) -> Request {
        let is_own = random.below(4) > 0;
        let others = self.current.iter().filter(|grant| (grant.user == with.user) == is_own);
        let others: Vec<_> = others.collect();
        let session = pick(&others, random).map_or(&with, |other| *other).session.clone();
        Request::EndSession { with, session }
    }

    fn change_password(&mut self, with: Grant) -> Option<Request> {
        let person = self.people.iter().find(|person| person.id.as_ref() == Some(&with.user))?;
        let current = person.passwords.last()?.clone();
        self.drawn += 1;
        Some(Request::ChangePassword { with, current, new: self.password() })
    }

    fn change_me(&mut self, with: Grant, random: &Random) -> Option<Request> {
        let person = self.people.iter().find(|person| person.id.as_ref() == Some(&with.user))?;
        let Some(etag) = person.etag.clone() else { return Some(Request::ShowMe(with)) };
        self.drawn += 1;
        let (email, name) = match random.below(4) {
            0 => (Some(email(random)), None),
            1 => (Some(email(random)), Some(self.name())),
            _ => (None, Some(self.name())),
        };
        Some(Request::ChangeMe { with, etag, email, name })
    }

    fn show_user(&self, with: Grant, random: &Random) -> Request {
        let id = pick(&self.ids(), random).map_or_else(|| with.user.clone(), |id| (*id).to_owned());
        Request::ShowUser { with, id }
    }

    /// Tokens of the past, or as often those of a session that goes on which say another role than its user has since.
    fn pick_old(&self, random: &Random) -> Option<Grant> {
        let goes_on = |grant: &Grant| self.current.iter().any(|current| current.session == grant.session);
        let says_another = |grant: &Grant| {
            let person = self.people.iter().find(|person| person.id.as_ref() == Some(&grant.user));
            person.and_then(|person| person.role.as_ref()).is_some_and(|role| *role != grant.role)
        };
        let all = self.current.iter().chain(&self.past);
        let outdated: Vec<_> = all.filter(|grant| says_another(grant) && goes_on(grant)).collect();
        let outdated = pick(&outdated, random).copied().filter(|_| random.below(2) == 0);
        outdated.or_else(|| pick(&self.past, random)).cloned()
    }

    /// Something harmless with an access token that is perhaps not to be taken any more.
    fn try_old(&self, with: Grant, random: &Random) -> Request {
        match random.below(3) {
            0 => Request::ListSessions(with),
            1 => self.show_user(with, random),
            _ => Request::ShowMe(with),
        }
    }

    /// A name that was never used, so that whoever reads it knows which request wrote it.
    fn name(&self) -> String {
        format!("Customer {}", self.drawn)
    }

    /// A password that was never used.
    fn password(&self) -> String {
        format!("a long password, no. {}", self.drawn)
    }

    /// Learns from the end of a request.
    pub(crate) fn note(&mut self, call: &Call) {
        match (&call.request, &call.answer) {
            (Request::Register { email, password, .. }, answer) => {
                self.note_registration(email, password, answer);
            }
            (Request::LogIn { email, password }, answer) => self.note_login(email, password, answer),
            (Request::Refresh(old), Answer::Granted(new)) => {
                self.retire(|grant| grant.session == old.session);
                self.past.push(old.clone());
                self.current.push(new.clone());
            }
            (Request::Refresh(old), Answer::Refused(_)) | (Request::LogOut(old), Answer::Done) => {
                self.retire(|grant| grant.session == old.session);
            }
            (Request::EndSession { session, .. }, Answer::Done) => {
                self.retire(|grant| grant.session == *session);
            }
            (Request::ChangePassword { with, new, .. }, answer) => self.note_password(with, new, answer),
            (Request::DeleteMe(with), Answer::Done) => {
                self.retire(|grant| grant.user == with.user);
                self.people.retain(|person| person.id.as_ref() != Some(&with.user));
            }
            (Request::ChangeRole { id, role }, Answer::Done) => {
                if let Some(person) = self.person(id) {
                    person.role = Some(role.clone());
                }
            }
            (Request::ShowMe(with) | Request::ChangeMe { with, .. }, Answer::Account(shown)) => {
                if let Some(person) = self.person(&with.user) {
                    person.email.clone_from(&shown.account.email);
                    person.etag.clone_from(&shown.etag);
                }
            }
            (Request::ChangeMe { with, .. }, _) => {
                if let Some(person) = self.person(&with.user) {
                    person.etag = None;
                }
            }
            _ => {}
        }
    }

    fn note_registration(&mut self, email: &str, password: &str, answer: &Answer) {
        let id = match answer {
            Answer::Account(shown) => Some(shown.account.id.clone()),
            Answer::Unknown => None,
            _ => return,
        };
        self.people.retain(|person| !(person.email == email && person.id.is_none()));
        let (email, passwords) = (email.to_owned(), vec![password.to_owned()]);
        self.people.push(Person { email, passwords, id, etag: None, role: None });
    }

    fn note_login(&mut self, email: &str, password: &str, answer: &Answer) {
        let has = |person: &Person| person.email == email && person.passwords.iter().any(|it| it == password);
        let Some(index) = self.people.iter().position(has) else {
            return self.current.extend(match answer {
                Answer::Granted(grant) => Some(grant.clone()),
                _ => None,
            });
        };
        let person = &mut self.people[index];
        match answer {
            Answer::Granted(grant) => {
                person.id = Some(grant.user.clone());
                person.passwords = vec![password.to_owned()];
                self.current.push(grant.clone());
            }
            Answer::Refused(Refusal::Unauthenticated) => {
                person.passwords.retain(|other| other != password);
                if person.passwords.is_empty() {
                    self.people.remove(index);
                }
            }
            _ => {}
        }
    }

    fn note_password(&mut self, with: &Grant, new: &str, answer: &Answer) {
        let Some(person) = self.person(&with.user) else { return };
        match answer {
            Answer::Done => person.passwords = vec![new.to_owned()],
            Answer::Unknown => person.passwords.push(new.to_owned()),
            _ => return,
        }
        if *answer == Answer::Done {
            self.retire(|grant| grant.user == with.user && grant.session != with.session);
        }
    }

    fn person(&mut self, id: &str) -> Option<&mut Person> {
        self.people.iter_mut().find(|person| person.id.as_deref() == Some(id))
    }

    /// Keeps the tokens for which it is true, as those that are not to be taken any more.
    fn retire(&mut self, is_over: impl Fn(&Grant) -> bool) {
        self.past.extend(self.current.extract_if(.., |grant| is_over(grant)));
    }
}

impl Person {
    fn log_in(&self) -> Option<Request> {
        let password = self.passwords.last()?.clone();
        Some(Request::LogIn { email: self.email.clone(), password })
    }
}

fn email(random: &Random) -> String {
    format!("customer-{}@example.com", random.below(PEOPLE))
}

fn pick<'a, T>(these: &'a [T], random: &Random) -> Option<&'a T> {
    let index = random.below(these.len() as u64);
    these.get(usize::try_from(index).expect("it is below the length"))
}
