//! The keys that tokens are checked with, as they come and go.

use runtime::Random;
use service_auth::{Issuer, KeySet, SigningKey, TokenError, TokenVerifier};
use types::{Classify as _, ErrorClass};

use crate::forger::Forger;

fn another() -> SigningKey {
    SigningKey::generate(&Random::seeded(8)).0
}

#[test]
fn without_keys_no_token_is_good_and_none_is_bad() {
    let forger = Forger::new();
    let verifier = TokenVerifier::new(Issuer::default(), &forger.hands.clock());
    assert!(!verifier.has_keys());
    let refused = verifier.verify(&forger.token()).unwrap_err();
    assert_eq!((refused, refused.class()), (TokenError::NoKeys, ErrorClass::Unavailable));
    let never = verifier.verify("nonsense").unwrap_err();
    assert_eq!((never, never.class()), (TokenError::Form, ErrorClass::Unauthenticated));
    verifier.set_keys(&KeySet::new([forger.key.public()]));
    assert!(verifier.has_keys() && verifier.verify(&forger.token()).is_ok());
}

#[test]
fn keys_overlap_and_a_key_that_went_takes_its_tokens_with_it() {
    let forger = Forger::new();
    let (old, new) = (forger.token(), another().sign(&Issuer::default(), &Forger::claims()));
    let verdicts = || [&old, &new].map(|token| forger.verifier.verify(token).err());
    assert_eq!(verdicts(), [None, Some(TokenError::UnknownKey)]);
    forger.verifier.set_keys(&KeySet::new([forger.key.public(), another().public()]));
    assert_eq!(verdicts(), [None, None]);
    forger.verifier.set_keys(&KeySet::new([another().public()]));
    assert_eq!(verdicts(), [Some(TokenError::UnknownKey), None]);
    forger.verifier.set_keys(&KeySet::default());
    assert_eq!(verdicts(), [Some(TokenError::NoKeys), Some(TokenError::NoKeys)]);
}

#[test]
fn a_key_signs_in_its_own_name_alone() {
    let forger = Forger::new();
    forger.verifier.set_keys(&KeySet::new([forger.key.public(), another().public()]));
    let mixed = forger.header().replace(forger.key.kid(), another().kid());
    let refused = forger.refused(&mixed, crate::forger::CLAIMS);
    assert_eq!(refused, Some(TokenError::Signature));
}

#[test]
fn clones_of_a_verifier_share_its_keys() {
    let forger = Forger::new();
    let clone = forger.verifier.clone();
    clone.set_keys(&KeySet::default());
    assert!(!forger.verifier.has_keys());
}
