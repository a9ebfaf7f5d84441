//! Claims that are signed and all the same not to be taken.

use std::time::Duration;

use service_auth::{Claims, Issuer, TokenError};
use types::Role;

use crate::forger::{CLAIMS, Forger};

/// The claims of a good token with `from` replaced.
fn refused(from: &str, to: &str) -> Option<TokenError> {
    assert!(CLAIMS.contains(from), "{from}");
    let forger = Forger::new();
    forger.refused(&forger.header(), &CLAIMS.replace(from, to))
}

#[test]
fn a_token_of_another_issuer_is_refused() {
    for issuer in [
        "https://flotilla.internal/",
        "http://flotilla.internal",
        "https://flotilla.internal.example",
        "HTTPS://flotilla.internal",
        "https://flotilla.interna",
        "",
        "flotilla",
    ] {
        assert_eq!(refused("https://flotilla.internal", issuer), Some(TokenError::Issuer), "{issuer}");
    }
    for value in ["null", "7", r#"["https://flotilla.internal"]"#] {
        assert_eq!(refused(r#""https://flotilla.internal""#, value), Some(TokenError::Issuer), "{value}");
    }
    assert_eq!(refused(r#""iss""#, r#""Iss""#), Some(TokenError::Issuer));
}

#[test]
fn a_token_that_is_meant_for_others_is_refused() {
    for value in [
        r#""other""#,
        r#""Flotilla""#,
        r#""flotilla ""#,
        r#""""#,
        "[]",
        r#"["other"]"#,
        r#"[["flotilla"]]"#,
        r#"["flotilla",7]"#,
        r#"["flotilla",null]"#,
        r#"{"flotilla":1}"#,
        "null",
        "true",
        r#""flotilla,other""#,
    ] {
        assert_eq!(refused(r#""flotilla""#, value), Some(TokenError::Audience), "{value}");
    }
    assert_eq!(refused(r#""aud":"flotilla","#, ""), Some(TokenError::Audience));
    for value in [r#"["flotilla"]"#, r#"["other","flotilla"]"#] {
        assert_eq!(refused(r#""flotilla""#, value), None, "{value}");
    }
}

#[test]
fn every_claim_is_there_and_of_its_type() {
    let token: serde_json::Value = serde_json::from_str(CLAIMS).unwrap();
    let cases = [
        ("sub", &["7", "\"\"", "\"ada\"", "\"0190b3c87c5e70008000000000000001\"", "null"][..]),
        (
            "exp",
            &["\"1785000600\"", "1785000600.0", "1.7850006e9", "-1", "null", "9223372036854775807", "1e400"],
        ),
        ("nbf", &["\"1785000000\"", "1785000000.5", "-1", "[]", "18446744073709551615"]),
        ("iat", &["\"1785000000\"", "1785000000.5", "-1", "{}", "true"]),
        ("jti", &["7", "\"\"", "\"token\""]),
        ("sid", &["7", "\"\"", "null"]),
        ("role", &["7", "\"Operator\"", "\"admin\"", "\"\"", "[\"operator\"]", "null"]),
        ("ver", &["\"4\"", "4.0", "null", "9223372036854775808"]),
    ];
    for (claim, wrong) in cases {
        let written = format!(r#""{claim}":{}"#, token[claim]);
        for value in wrong {
            let refusal = refused(&written, &format!(r#""{claim}":{value}"#));
            // 1e400 is no number of any type.
            let expected = if *value == "1e400" { TokenError::Json } else { TokenError::Claim(claim) };
            assert_eq!(refusal, Some(expected), "{claim}: {value}");
        }
        let missing = refused(&written, r#""note":1"#);
        assert_eq!(missing, Some(TokenError::Claim(claim)), "without {claim}");
    }
}

#[test]
fn claims_are_an_object_that_names_nothing_twice() {
    for (from, to) in [
        ("{", r#"{"sub":"0190b3c8-7c5e-7000-8000-000000000009","#),
        ("}", r#","role":"operator"}"#),
        ("}", r#","role":"customer"}"#),
        ("}", r#","r\u006fle":"operator"}"#),
        ("}", r#","exp":9999999999}"#),
        ("}", r#","note":{"a":1,"a":1}}"#),
        ("}", "}{}"),
        ("{", "[{"),
        ("}", ""),
    ] {
        assert_eq!(refused(from, to), Some(TokenError::Json), "{to}");
    }
    let forger = Forger::new();
    for whole in ["", "null", "7", "[]", r#""claims""#] {
        assert_eq!(forger.refused(&forger.header(), whole), Some(TokenError::Json), "{whole}");
    }
    assert_eq!(refused("}", r#","note":{"a":[{"b":1},{"b":2}]},"scope":"all"}"#), None);
}

#[test]
fn a_token_ends_to_the_microsecond_and_is_not_repeated_after() {
    let forger = Forger::new();
    let verify = || forger.verifier.verify(&forger.token()).map(|claims| *claims);
    assert_eq!(verify(), Ok(Forger::claims()));
    forger.hands.forward(Duration::from_micros(599_999_999));
    assert_eq!(verify(), Ok(Forger::claims()));
    forger.hands.forward(Duration::from_micros(1));
    assert_eq!(verify(), Err(TokenError::Expired));
    let unseen = Forger::new();
    unseen.hands.forward(Duration::from_secs(600));
    assert_eq!(unseen.verifier.verify(&unseen.token()).err(), Some(TokenError::Expired));
}

#[test]
fn a_token_of_the_future_is_refused_beyond_what_clocks_differ() {
    for claim in ["nbf", "iat"] {
        let from = format!(r#""{claim}":1785000000"#);
        let at = |moment: i64| refused(&from, &format!(r#""{claim}":{moment}"#));
        assert_eq!(at(1_785_000_005), None, "{claim}");
        assert_eq!(at(1_785_000_006), Some(TokenError::NotYet), "{claim}");
        assert_eq!(at(9_000_000_000), Some(TokenError::NotYet), "{claim}");
        assert_eq!(at(0), None, "{claim}");
    }
}

#[test]
fn whole_seconds_are_kept_and_parts_of_them_cut_off() {
    let forger = Forger::new();
    let claims = Forger::claims();
    let precise = Claims { expires_at: claims.expires_at.after(Duration::from_micros(999_999)), ..claims };
    assert_eq!(forger.key.sign(&Issuer::default(), &precise), forger.token());
}

#[test]
fn an_issuer_signs_for_its_audience_and_in_its_own_name() {
    let forger = Forger::new();
    let claims = Claims { role: Role::Operator, ..Forger::claims() };
    let refused = |issuer: Issuer| forger.verifier.verify(&forger.key.sign(&issuer, &claims)).err();
    assert_eq!(refused(Issuer::default()), None);
    let other = Issuer { issuer: "https://\"}".to_owned(), ..Issuer::default() };
    assert_eq!(refused(other), Some(TokenError::Issuer));
    let other = Issuer { audience: "other".to_owned(), ..Issuer::default() };
    assert_eq!(refused(other), Some(TokenError::Audience));
}
