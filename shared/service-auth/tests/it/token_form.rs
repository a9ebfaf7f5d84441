//! Texts that are no access tokens.

use proptest::prelude::*;
use service_auth::TokenError;

use crate::forger::{CLAIMS, Forger, encoded};

#[test]
fn a_token_says_what_its_issuer_said() {
    let forger = Forger::new();
    assert_eq!(forger.token(), forger.forge(&forger.header(), CLAIMS));
    for _first_then_repeated in 0..2 {
        assert_eq!(forger.verifier.verify(&forger.token()).as_deref(), Ok(&Forger::claims()));
    }
}

#[test]
fn a_token_has_exactly_three_parts() {
    let forger = Forger::new();
    let token = forger.token();
    let parts: Vec<_> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { unreachable!("it has three") };
    for wrong in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        header.to_owned(),
        format!("{header}.{claims}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        forger.signed(&format!("{header}.{claims}.{claims}")),
        format!("{header}..{claims}.{signature}"),
        // Encrypted, it would have five.
        format!("{header}.{claims}.{claims}.{claims}.{signature}"),
    ] {
        let refused = forger.verifier.verify(&wrong).unwrap_err();
        assert!(matches!(refused, TokenError::Form | TokenError::Json), "{wrong}: {refused}");
    }
}

#[test]
fn there_is_one_way_to_write_a_token() {
    let forger = Forger::new();
    let token = forger.token();
    let parts: Vec<_> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { unreachable!("it has three") };
    let last = signature.chars().last().unwrap();
    // The last letter of 64 bytes has four bits that mean nothing.
    let trailing = char::from(u8::try_from(last).unwrap() + 1);
    let other_bits = format!("{}{trailing}", &signature[..85]);
    for wrong in [
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        format!("{header}.{claims}. {signature}"),
        format!("{header}.{claims}.{}\n{}", &signature[..40], &signature[40..]),
        format!("{header}.{claims}.{signature}="),
        format!("{header}.{claims}.{signature}=="),
        format!("{header}=.{claims}.{signature}"),
        format!("{header}.{claims}.{other_bits}"),
        format!("{header}.{claims}.{}", &signature[..85]),
        format!("{header}.{claims}.{signature}AA"),
        format!("{header}.{claims}."),
        forger.signed(&format!("{header}=.{claims}")),
        forger.signed(&format!("{header}\n.{claims}")),
        // `+` and `/` are of the other alphabet.
        forger.signed(&format!("{}.{claims}", encoded(forger.header() + "  ").replace('I', "/"))),
        forger.signed(&format!("{header}.{claims}=")),
        forger.signed(&format!("{header}.{claims}+")),
        forger.signed(&format!("{header}.{}", claims.replace('e', "%65"))),
    ] {
        assert_eq!(forger.verifier.verify(&wrong).err(), Some(TokenError::Form), "{wrong:?}");
    }
}

#[test]
fn what_is_no_token_in_compact_form_is_refused() {
    let forger = Forger::new();
    let token = forger.token();
    let parts: Vec<_> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { unreachable!("it has three") };
    let flattened = format!(r#"{{"payload":"{claims}","protected":"{header}","signature":"{signature}"}}"#);
    let general = format!(
        r#"{{"payload":"{claims}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#
    );
    let refresh_token = encoded([7; 32]);
    for wrong in [flattened, general, refresh_token, format!("Bearer {token}"), format!("\"{token}\"")] {
        assert_eq!(forger.verifier.verify(&wrong).err(), Some(TokenError::Form), "{wrong}");
    }
}

#[test]
fn a_long_token_is_not_looked_at() {
    let forger = Forger::new();
    let long = |length: usize| {
        let claims = CLAIMS.replacen('{', &format!(r#"{{"note":"{}","#, "a".repeat(length)), 1);
        forger.verifier.verify(&forger.forge(&forger.header(), &claims)).err()
    };
    assert_eq!(long(2_000), None);
    assert_eq!(long(4_096), Some(TokenError::TooLong));
    assert_eq!(long(1 << 20), Some(TokenError::TooLong));
    assert_eq!(forger.verifier.verify(&"a".repeat(1 << 20)).err(), Some(TokenError::TooLong));
}

proptest! {
    #[test]
    fn any_text_is_answered(text in ".{0,200}", parts in proptest::collection::vec("[A-Za-z0-9_-]{0,60}", 3)) {
        let forger = Forger::new();
        prop_assert!(forger.verifier.verify(&text).is_err());
        prop_assert!(forger.verifier.verify(&parts.join(".")).is_err());
    }

    #[test]
    fn a_token_that_was_changed_anywhere_is_refused(at in 0..10_000_usize, to in "[A-Za-z0-9_.=+/-]") {
        let forger = Forger::new();
        let token = forger.token();
        let at = at % token.len();
        let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
        prop_assert_eq!(forger.verifier.verify(&changed).is_ok(), changed == token);
        // Nor is it taken for the one that it was made from.
        prop_assert!(forger.verifier.verify(&token).is_ok());
        prop_assert_eq!(forger.verifier.verify(&changed).is_ok(), changed == token);
    }
}
