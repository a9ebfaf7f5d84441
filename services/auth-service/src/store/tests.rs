use std::time::Duration;

use database::{Batch, CommitError};
use futures_util::future::{join_all, join3};
use types::{Network, SessionId, Timestamp, UserId};
use uuid::Uuid;

use super::fixture::{World, on_both_databases, soon};
use super::*;
use crate::keys::StoredKey;
use crate::refresh::{Presented, Spent, Successor};
use crate::refresh_token::TokenHash;
use crate::revocation::Subject;
use crate::session::{LoginName, MOST_SESSIONS, Session};

const START: Timestamp = Timestamp::from_micros(1_785_000_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn at(minutes: u32) -> Timestamp {
    START.after(MINUTE * minutes)
}

impl World {
    /// A session of `user` that begins at `now` and its first token.
    async fn begin(&self, user: UserId, now: Timestamp) -> (Session, TokenHash) {
        let (session, token) = (self.session(user, now), self.token());
        let login = LoginName::new("ada@example.com");
        self.commit(|batch| begin(batch, &session, &login, &token)).await.unwrap();
        (session, token)
    }

    async fn live(&self, user: UserId, now: Timestamp) -> Vec<SessionId> {
        let live = live(&self.database, user, now, soon()).await.unwrap();
        live.into_iter().map(|session| session.id).collect()
    }

    async fn revoked(&self) -> Vec<Subject> {
        let none = (Timestamp::default(), Uuid::nil());
        let revoked = recorded_since(&self.database, none, START, 1_000, soon()).await.unwrap();
        revoked.into_iter().map(|revocation| revocation.subject).collect()
    }

    fn renewed(&self, now: Timestamp) -> Renewed {
        Renewed { version: 1, token: self.token(), now, expires_at: now.after(DAY) }
    }
}

fn is_count(outcome: &Result<(), CommitError>) -> bool {
    matches!(outcome, Err(CommitError::Count { .. }))
}

on_both_databases! {
    async fn a_session_is_read_as_it_was_written(world: &World) {
        let user = world.env.ids.next();
        let (session, token) = world.begin(user, START).await;
        assert_eq!(live(&world.database, user, at(1), soon()).await.unwrap(), std::slice::from_ref(&session));
        let expected = Presented {
            token,
            spent: None,
            session: session.id,
            user,
            created_at: START,
            expires_at: START.after(DAY),
            ended: false,
        };
        assert_eq!(world.presented(token).await, expected);
        assert_eq!(presented(&world.database, world.token(), soon()).await.unwrap(), None);
        assert_eq!(world.live(user, START.after(DAY)).await, []);
        assert_eq!(world.live(world.env.ids.next(), START).await, []);
        assert!(is_live(&world.database, session.id, at(1), soon()).await.unwrap());
        assert!(!is_live(&world.database, session.id, START.after(DAY), soon()).await.unwrap());
    }

    async fn a_token_is_spent_once_and_names_the_one_that_took_its_place(world: &World) {
        let (session, first) = world.begin(world.env.ids.next(), START).await;
        let (fresh, second) = (world.presented(first).await, world.renewed(at(10)));
        world.commit(|batch| rotate(batch, &fresh, &second)).await.unwrap();
        let successor = Successor { token: second.token, used: false };
        let spent = Spent { at: at(10), successor: Some(successor), again: false };
        let expires_at = second.expires_at;
        assert_eq!(world.presented(first).await, Presented { spent: Some(spent), expires_at, ..fresh.clone() });
        assert_eq!(world.presented(second.token).await.spent, None);

        let third = world.renewed(at(11));
        assert!(is_count(&world.commit(|batch| rotate(batch, &fresh, &third)).await));
        assert_eq!(presented(&world.database, third.token, soon()).await.unwrap(), None);
        assert_eq!(world.live(session.user, at(11)).await, [session.id]);
    }

    async fn a_lost_answer_is_made_up_for_once_and_what_was_in_it_is_void(world: &World) {
        let (_, first) = world.begin(world.env.ids.next(), START).await;
        let (fresh, lost, second) = (world.presented(first).await, world.renewed(at(10)), world.renewed(at(11)));
        world.commit(|batch| rotate(batch, &fresh, &lost)).await.unwrap();
        world.commit(|batch| rotate_again(batch, &fresh, &lost.token, &second)).await.unwrap();
        let successor = Successor { token: second.token, used: false };
        let spent = Spent { at: at(10), successor: Some(successor), again: true };
        assert_eq!(world.presented(first).await.spent, Some(spent));
        let void = Spent { at: at(11), successor: None, again: false };
        assert_eq!(world.presented(lost.token).await.spent, Some(void));

        let third = world.renewed(at(12));
        let again = world.commit(|batch| rotate_again(batch, &fresh, &second.token, &third)).await;
        assert!(is_count(&again), "{again:?}");
    }

    async fn a_lost_answer_is_not_made_up_for_once_what_was_in_it_was_used(world: &World) {
        let (_, first) = world.begin(world.env.ids.next(), START).await;
        let (fresh, second) = (world.presented(first).await, world.renewed(at(10)));
        world.commit(|batch| rotate(batch, &fresh, &second)).await.unwrap();
        let unused = world.presented(second.token).await;
        world.commit(|batch| rotate(batch, &unused, &world.renewed(at(11)))).await.unwrap();
        let late = world.commit(|batch| rotate_again(batch, &fresh, &second.token, &world.renewed(at(12)))).await;
        assert!(is_count(&late), "{late:?}");
        assert!(matches!(world.presented(first).await.spent, Some(Spent { again: false, .. })));
    }

    async fn an_ended_session_goes_on_in_no_way_and_its_tokens_are_revoked(world: &World) {
        let (session, token) = world.begin(world.env.ids.next(), START).await;
        let (other, _) = world.begin(session.user, START).await;
        for _ in 0..2 {
            let end = |batch: &mut Batch| end_session(batch, session.user, session.id, Ending::at(at(1)));
            world.commit(end).await.unwrap();
        }
        let presented = world.presented(token).await;
        assert!(presented.ended);
        assert!(is_count(&world.commit(|batch| rotate(batch, &presented, &world.renewed(at(2)))).await));
        assert_eq!(world.live(session.user, at(1)).await, [other.id]);
        assert_eq!(world.revoked().await, [Subject::Session(session.id)]);
    }

    async fn a_user_ends_own_sessions_and_no_others(world: &World) {
        let (session, _) = world.begin(world.env.ids.next(), START).await;
        let end = async |user, now| world.commit(|batch| end_own(batch, user, session.id, Ending::at(now))).await;
        assert!(is_count(&end(world.env.ids.next(), at(1)).await));
        assert!(is_count(&end(session.user, START.after(DAY)).await));
        assert_eq!((world.live(session.user, at(1)).await, world.revoked().await), (vec![session.id], vec![]));
        end(session.user, at(1)).await.unwrap();
        assert!(is_count(&end(session.user, at(1)).await));
        assert_eq!(world.live(session.user, at(1)).await, []);
        assert_eq!(world.revoked().await, [Subject::Session(session.id)]);
    }

    async fn sessions_of_older_versions_end_except_the_kept_one(world: &World) {
        let user = world.env.ids.next();
        let (kept, _) = world.begin(user, START).await;
        let (idle, _) = world.begin(user, START).await;
        let (used, _) = world.begin(user, at(30)).await;
        let (new, token) = (Session { version: 2, ..world.session(user, at(30)) }, world.token());
        let login = LoginName::new("ada@example.com");
        world.commit(|batch| begin(batch, &new, &login, &token)).await.unwrap();
        let (stranger, _) = world.begin(world.env.ids.next(), at(30)).await;

        world.commit(|batch| end_older(batch, user, 2, Some(kept.id), Ending::at(at(31)))).await.unwrap();
        assert_eq!(world.live(user, at(31)).await, [new.id, kept.id]);
        assert_eq!(world.live(stranger.user, at(31)).await, [stranger.id]);
        // The tokens of the idle one have expired by themselves.
        assert_eq!(world.revoked().await, [Subject::Session(used.id)]);
        assert!(!world.live(user, at(31)).await.contains(&idle.id));

        world.commit(|batch| end_older(batch, user, 3, None, Ending::at(at(31)))).await.unwrap();
        assert_eq!(world.live(user, at(31)).await, []);
    }

    async fn nothing_begins_or_goes_on_that_was_proven_before_a_change(world: &World) {
        let user = world.env.ids.next();
        let (session, token) = world.begin(user, START).await;
        for version in [3, 2] {
            world.commit(|batch| raise(batch, user, version)).await.unwrap();
        }
        let login = LoginName::new("ada@example.com");
        let late = Session { version: 2, ..world.session(user, at(1)) };
        let begun = world.commit(|batch| begin(batch, &late, &login, &world.token())).await;
        assert!(matches!(begun, Err(CommitError::Count { statement: 1, .. })), "{begun:?}");
        let presented = world.presented(token).await;
        let stale = Renewed { version: 2, ..world.renewed(at(1)) };
        assert!(is_count(&world.commit(|batch| rotate(batch, &presented, &stale)).await));
        assert_eq!(world.live(user, at(1)).await, [session.id]);

        let read_again = Renewed { version: 3, ..stale };
        world.commit(|batch| rotate(batch, &presented, &read_again)).await.unwrap();
        let in_time = Session { version: 3, ..late };
        world.commit(|batch| begin(batch, &in_time, &login, &world.token())).await.unwrap();
        assert_eq!(world.live(user, at(1)).await, [in_time.id, session.id]);
    }

    async fn the_oldest_session_makes_room(world: &World) {
        let (user, most) = (world.env.ids.next(), usize::try_from(MOST_SESSIONS).unwrap());
        let mut begun = Vec::new();
        for number in 0..MOST_SESSIONS + 2 {
            begun.push(world.begin(user, START.after(Duration::from_secs(number.into()))).await.0.id);
        }
        let mut live = world.live(user, at(2)).await;
        live.reverse();
        assert_eq!(live, begun[begun.len() - most..]);
        assert_eq!(world.revoked().await, [Subject::Session(begun[0]), Subject::Session(begun[1])]);
    }

    async fn of_many_who_spend_a_token_at_once_one_does(world: &World) {
        let (session, token) = world.begin(world.env.ids.next(), START).await;
        let fresh = world.presented(token).await;
        let all: Vec<_> = (0..16).map(|_| world.renewed(at(10))).collect();
        let outcomes = join_all(all.iter().map(|next| world.commit(|batch| rotate(batch, &fresh, next)))).await;
        let spent = world.presented(token).await.spent.unwrap();
        for (next, outcome) in all.iter().zip(&outcomes) {
            let is_successor = spent.successor == Some(Successor { token: next.token, used: false });
            assert_eq!(outcome.is_ok(), is_successor, "{outcome:?}");
            assert!(is_successor || is_count(outcome), "{outcome:?}");
        }
        assert_eq!(world.live(session.user, at(10)).await, [session.id]);
    }

    async fn no_session_goes_on_beside_the_end_of_all(world: &World) {
        let user = world.env.ids.next();
        let (_, token) = world.begin(user, START).await;
        let fresh = world.presented(token).await;
        let (late, next) = (world.session(user, at(1)), world.renewed(at(1)));
        let (login, late_token) = (LoginName::new("ada@example.com"), world.token());
        let (refreshed, begun, changed) = join3(
            world.commit(|batch| rotate(batch, &fresh, &next)),
            world.commit(|batch| begin(batch, &late, &login, &late_token)),
            world.commit(|batch| {
                raise(batch, user, 2);
                end_older(batch, user, 2, None, Ending::at(at(1)));
            }),
        )
        .await;
        changed.unwrap();
        // Whichever came first, nothing that was proven before the change is left after it.
        assert!([&refreshed, &begun].into_iter().all(|outcome| outcome.is_ok() || is_count(outcome)));
        assert_eq!(world.live(user, at(1)).await, []);
    }

    async fn sessions_that_begin_at_once_make_room_for_each_other(world: &World) {
        let (user, most) = (world.env.ids.next(), usize::try_from(MOST_SESSIONS).unwrap());
        join_all((0..most + 20).map(|_| world.begin(user, START))).await;
        assert_eq!(world.live(user, at(1)).await.len(), most);
    }

    async fn a_network_is_known_by_the_sessions_that_began_there(world: &World) {
        let (session, _) = world.begin(world.env.ids.next(), START).await;
        world.commit(|batch| end_session(batch, session.user, session.id, Ending::at(at(1)))).await.unwrap();
        let known = async |name: &str, address: [u8; 4]| {
            let network = Network::of(address.into());
            is_known(&world.database, &LoginName::new(name), network, soon()).await.unwrap()
        };
        assert!(known("ADA@example.com", [192, 0, 2, 7]).await);
        assert!(!known("ada@example.com", [192, 0, 2, 8]).await);
        assert!(!known("grace@example.com", [192, 0, 2, 7]).await);
    }

    async fn revocations_come_in_order_and_in_pages_while_they_matter(world: &World) {
        let user = world.env.ids.next();
        let ids: [Uuid; 3] = [1, 2, 3].map(Uuid::from_u128);
        for (id, minutes) in [(ids[1], 1), (ids[0], 1), (ids[2], 0), (ids[1], 5)] {
            world.commit(|batch| revoke_user(batch, id, user, 7, Ending::at(at(minutes)))).await.unwrap();
        }
        let page = async |after, now, limit| {
            let page = recorded_since(&world.database, after, now, limit, soon()).await.unwrap();
            assert!(page.iter().all(|revocation| revocation.subject == Subject::User(user, 7)));
            page.into_iter().map(|revocation| (revocation.recorded_at, revocation.id)).collect::<Vec<_>>()
        };
        let first = (at(0), Uuid::nil());
        let all = [(at(0), ids[2]), (at(1), ids[0]), (at(1), ids[1])];
        assert_eq!(page(first, START, 10).await, all);
        assert_eq!(page(first, START, 2).await, all[..2]);
        assert_eq!(page(all[1], START, 2).await, all[2..]);
        assert_eq!(page(first, Ending::at(at(0)).until, 10).await, all[1..]);
    }

    async fn a_generation_of_keys_is_made_once(world: &World) {
        let key = |generation, kid: &str| StoredKey {
            generation,
            kid: kid.to_owned(),
            sealed: vec![7; 60],
            signs_from: START,
        };
        for stored in [key(2, "b"), key(1, "a")] {
            world.commit(|batch| insert_key(batch, &stored)).await.unwrap();
        }
        let again = world.commit(|batch| insert_key(batch, &key(2, "c"))).await.unwrap_err();
        assert!(again.violates(GENERATION_IS_TAKEN), "{again:?}");
        assert_eq!(keys(&world.database, soon()).await.unwrap(), [key(1, "a"), key(2, "b")]);
        world.commit(|batch| delete_key(batch, 1)).await.unwrap();
        assert_eq!(keys(&world.database, soon()).await.unwrap(), [key(2, "b")]);
    }

    async fn what_nothing_depends_on_any_more_is_swept_a_part_at_a_time(world: &World) {
        let (session, token) = world.begin(world.env.ids.next(), START).await;
        world.commit(|batch| end_session(batch, session.user, session.id, Ending::at(at(1)))).await.unwrap();
        let (young, young_token) = world.begin(session.user, at(9)).await;
        for what in [Sweep::Tokens, Sweep::Sessions, Sweep::Revocations] {
            let more = async || has_more(&world.database, what, at(8).after(MINUTE * 20), soon()).await.unwrap();
            let moment = if what == Sweep::Revocations { at(28) } else { at(8) };
            assert!(has_more(&world.database, what, moment, soon()).await.unwrap(), "{what:?}");
            world.commit(|batch| sweep(batch, what, moment)).await.unwrap();
            assert!(!has_more(&world.database, what, moment, soon()).await.unwrap(), "{what:?}");
            assert_eq!(more().await, what == Sweep::Tokens, "{what:?}");
        }
        assert_eq!(presented(&world.database, token, soon()).await.unwrap(), None);
        assert_eq!(world.presented(young_token).await.session, young.id);
        assert_eq!(world.live(session.user, at(10)).await, [young.id]);
        assert_eq!(world.revoked().await, []);
    }
}
