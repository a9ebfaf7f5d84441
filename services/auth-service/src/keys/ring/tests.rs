use database::{Sql, params};
use futures_util::future::{join_all, try_join_all};
use types::Id;
use uuid::Uuid;

use super::*;
use crate::keys::AHEAD;
use crate::store::fixture::{World, on_both_databases, soon};

const START: Timestamp = Timestamp::from_micros(1_785_000_000_000_000);
const HOUR: Duration = Duration::from_secs(60 * 60);

impl World {
    /// A replica whose clock stands at `now`.
    async fn ring(&self, now: Timestamp, secret: u8) -> Result<Keyring, KeyringError> {
        let env = Env { clock: Clock::reading(move || now), ..self.env.clone() };
        Keyring::open(&env, &self.database, SealingKey::new(&[secret; 32]), soon()).await
    }

    async fn lease(&self) -> Lease {
        self.database.claim_lease("keys", "test", HOUR, soon()).await.unwrap().unwrap()
    }
}

/// The name of the key that signs.
fn signer(ring: &Keyring) -> String {
    let claims = Claims {
        user: Id::from_uuid(Uuid::nil()),
        session: Id::from_uuid(Uuid::nil()),
        role: types::Role::Customer,
        version: 1,
        id: Uuid::nil(),
        issued_at: START,
        not_before: START,
        expires_at: START,
    };
    let token = ring.sign(&Issuer::default(), &claims);
    let schedule = ring.schedule();
    let signed = |(key, _): &(&Key, _)| key.signing.sign(&Issuer::default(), &claims) == token;
    let (key, _) = schedule.with_ends().find(signed).unwrap();
    key.signing.kid().to_owned()
}

on_both_databases! {
    async fn of_replicas_that_start_at_once_all_sign_with_one_key(world: &World) {
        let rings = try_join_all((0..8).map(|_| world.ring(START, 1))).await.unwrap();
        let first = signer(&rings[0]);
        for ring in &rings {
            assert_eq!(signer(ring), first);
            assert!(ring.published().borrow().get(&first).is_some());
        }
    }

    async fn a_rotation_is_published_at_once_and_signs_after_the_overlap_everywhere(world: &World) {
        let (one, other) = (world.ring(START, 1).await.unwrap(), world.ring(START, 1).await.unwrap());
        let (before, mut published) = (signer(&one), one.published());
        let next = one.rotate(soon()).await.unwrap();
        assert_eq!(next.signs_from, START.after(AHEAD));
        assert!(published.borrow_and_update().get(next.signing.kid()).is_some());
        assert_eq!(signer(&one), before);

        assert!(other.published().borrow().get(next.signing.kid()).is_none());
        other.refresh(soon()).await.unwrap();
        assert!(other.published().borrow().get(next.signing.kid()).is_some());

        let later = world.ring(next.signs_from, 1).await.unwrap();
        assert_eq!(signer(&later), next.signing.kid());
        assert!(later.published().borrow().get(&before).is_some());
    }

    async fn of_rotations_at_once_one_takes_place(world: &World) {
        let rings = try_join_all((0..4).map(|_| world.ring(START, 1))).await.unwrap();
        let outcomes = join_all(rings.iter().map(|ring| ring.rotate(soon()))).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        let classes: Vec<_> = outcomes.into_iter().filter_map(|outcome| Some(outcome.err()?.class())).collect();
        assert_eq!(classes, [ErrorClass::Conflict; 3]);
    }

    async fn an_old_key_is_followed_by_the_next_and_forgotten_when_nobody_needs_it(world: &World) {
        let (lease, first) = (world.lease().await, world.ring(START, 1).await.unwrap());
        first.rotate_if_due(HOUR, &lease, soon()).await.unwrap();
        assert_eq!(first.schedule().with_ends().count(), 1);
        let due = world.ring(START.after(HOUR), 1).await.unwrap();
        for _ in 0..2 {
            due.rotate_if_due(HOUR, &lease, soon()).await.unwrap();
        }
        assert_eq!(due.schedule().with_ends().count(), 2);
        due.forget_retired(&lease, soon()).await.unwrap();
        due.refresh(soon()).await.unwrap();
        assert_eq!(due.schedule().with_ends().count(), 2);

        let over = world.ring(START.after(HOUR * 2), 1).await.unwrap();
        assert!(over.published().borrow().get(&signer(&first)).is_none());
        over.forget_retired(&lease, soon()).await.unwrap();
        over.refresh(soon()).await.unwrap();
        assert_eq!(over.schedule().with_ends().count(), 1);
    }

    async fn keys_that_another_secret_sealed_are_refused_and_those_in_hand_are_kept(world: &World) {
        let ring = world.ring(START, 1).await.unwrap();
        let refused = world.ring(START, 2).await.unwrap_err();
        assert!(refused.to_string().contains("SIGNING_KEY_SECRET"), "{refused}");

        let mut batch = Batch::new();
        let (_, foreign) = made(&SealingKey::new(&[2; 32]), 2, START, &world.env.random);
        store::insert_key(&mut batch, &foreign);
        world.database.commit(batch, soon()).await.unwrap();
        let before = signer(&ring);
        assert!(matches!(ring.refresh(soon()).await, Err(KeyringError::Unsealable(_))));
        assert_eq!(signer(&ring), before);
    }
}

#[tokio::test]
async fn a_rotation_that_took_place_is_told_as_that_although_the_keys_cannot_be_read_any_more() {
    const SPOIL: Sql = Sql::new(
        "CREATE TRIGGER spoil AFTER INSERT ON signing_keys BEGIN \
         INSERT INTO signing_keys VALUES (new.generation + 1, 'nobody knows', x'00', new.signs_from); END",
    );
    World::on_sqlite(async |world| {
        let ring = world.ring(START, 1).await.unwrap();
        let mut spoil = Batch::new();
        world.database.commit(spoil.run(SPOIL, params![]).clone(), soon()).await.unwrap();
        let made = ring.rotate(soon()).await.unwrap();
        assert!(ring.published().borrow().get(made.signing.kid()).is_some());
        assert!(matches!(ring.refresh(soon()).await, Err(KeyringError::Unsealable(_))));
    })
    .await;
}

#[tokio::test]
async fn what_was_read_before_a_key_was_made_or_read_takes_nothing_back() {
    World::on_sqlite(async |world| {
        let (one, other) = (world.ring(START, 1).await.unwrap(), world.ring(START, 1).await.unwrap());
        let kept = |ring: &Keyring, key: &Key| {
            let (kid, published) = (key.signing.kid(), ring.published());
            ring.schedule().get(kid).is_some() && published.borrow().get(kid).is_some()
        };
        let (turn, before) = (other.turn(), other.schedule());
        let next = one.rotate(soon()).await.unwrap();
        other.refresh(soon()).await.unwrap();
        other.know(turn, before);
        assert!(kept(&other, &next));

        let (turn, before) = (other.turn(), other.schedule());
        let (newest, _) = made(&SealingKey::new(&[1; 32]), 3, START, &world.env.random);
        other.add(newest.clone());
        other.know(turn, before);
        assert!(kept(&other, &newest));
        other.know(other.turn(), one.schedule());
        assert!(!kept(&other, &newest), "what is newer is taken as it is");
    })
    .await;
}

#[tokio::test]
async fn what_is_stored_is_no_seed() {
    World::on_sqlite(async |world| {
        world.ring(START, 1).await.unwrap();
        let stored = store::keys(&world.database, soon()).await.unwrap();
        let as_seed =
            stored[0].sealed.windows(32).map(|seed| SigningKey::from_seed(seed.try_into().unwrap()));
        assert!(as_seed.into_iter().all(|key| key.kid() != stored[0].kid));
    })
    .await;
}
