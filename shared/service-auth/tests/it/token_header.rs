//! Headers that would have a token checked in another way (RFC 8725, section 2).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use service_auth::{SigningKey, TokenError};

use crate::forger::{CLAIMS, Forger, encoded};

/// The header of a good token with `from` replaced.
fn refused(forger: &Forger, from: &str, to: &str) -> Option<TokenError> {
    let header = forger.header();
    assert!(header.contains(from), "{header}");
    forger.refused(&header.replace(from, to), CLAIMS)
}

#[test]
fn there_is_one_algorithm() {
    let forger = Forger::new();
    for algorithm in [
        "none",
        "None",
        "NONE",
        "nOnE",
        " none",
        "none ",
        "",
        "HS256",
        "HS384",
        "HS512",
        "RS256",
        "PS256",
        "ES256",
        "ES256K",
        "Ed448",
        "Ed25519",
        "eddsa",
        "EDDSA",
        "EdDSA ",
        "EdDSA\\u0000",
    ] {
        let header = forger.header().replace("EdDSA", algorithm);
        assert_eq!(forger.refused(&header, CLAIMS), Some(TokenError::Algorithm), "{algorithm}");
        let unsigned = format!("{}.{}.", encoded(&header), encoded(CLAIMS));
        assert_eq!(forger.verifier.verify(&unsigned).err(), Some(TokenError::Algorithm), "{algorithm}");
    }
    for value in ["null", "7", "true", r#"["EdDSA"]"#, r#"{"EdDSA":1}"#] {
        assert_eq!(refused(&forger, r#""EdDSA""#, value), Some(TokenError::Algorithm), "{value}");
    }
    assert_eq!(refused(&forger, r#""alg":"EdDSA","#, ""), Some(TokenError::Algorithm));
    assert_eq!(refused(&forger, "alg", "Alg"), Some(TokenError::Algorithm));
}

#[test]
fn a_token_without_a_signature_is_refused() {
    let forger = Forger::new();
    let input = format!("{}.{}", encoded(forger.header()), encoded(CLAIMS));
    assert_eq!(forger.verifier.verify(&format!("{input}.")).err(), Some(TokenError::Form));
    let zeros = format!("{input}.{}", encoded([0; 64]));
    assert_eq!(forger.verifier.verify(&zeros).err(), Some(TokenError::Signature));
}

#[test]
fn the_public_key_is_no_secret_to_sign_with() {
    let forger = Forger::new();
    let jwks = service_auth::KeySet::new([forger.key.public()]).to_jwks();
    let jwks: serde_json::Value = serde_json::from_str(&jwks).unwrap();
    let x = jwks["keys"][0]["x"].as_str().unwrap();
    let raw = URL_SAFE_NO_PAD.decode(x).unwrap();
    // As RFC 8410 writes it.
    let der = [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", &*raw].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&der));
    for algorithm in ["HS256", "EdDSA"] {
        let header = forger.header().replace("EdDSA", algorithm);
        let input = format!("{}.{}", encoded(header), encoded(CLAIMS));
        let (jwk, jwks) = (jwks["keys"][0].to_string(), jwks.to_string());
        for secret in [x.as_bytes(), &raw, &der, pem.as_bytes(), jwk.as_bytes(), jwks.as_bytes(), b""] {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let mut tag = hmac::sign(&key, input.as_bytes()).as_ref().to_vec();
            for length in [32, 64] {
                tag.resize(length, 0);
                assert!(
                    forger.verifier.verify(&format!("{input}.{}", encoded(&tag))).is_err(),
                    "{algorithm}"
                );
            }
        }
    }
}

#[test]
fn a_token_brings_no_key_and_tells_of_none() {
    let forger = Forger::new();
    let key = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    for (name, value) in [
        ("jwk", key),
        ("jwk", "null"),
        ("jku", r#""https://attacker.example/jwks.json""#),
        ("x5u", r#""https://attacker.example/chain.pem""#),
        ("x5c", r#"["MIIB"]"#),
        ("x5t", r#""AAAA""#),
        ("x5t#S256", r#""AAAA""#),
        ("crit", r#"["exp"]"#),
        ("crit", "[]"),
        ("crit", "null"),
        ("b64", "false"),
        ("b64", "true"),
    ] {
        let with = format!(r#"{{"{name}":{value},"#);
        assert_eq!(refused(&forger, "{", &with), Some(TokenError::Header(name)), "{name}: {value}");
        let last = format!(r#","{name}":{value}}}"#);
        assert_eq!(refused(&forger, "}", &last), Some(TokenError::Header(name)), "{name}: {value}");
    }
    let escaped = r#"{"\u006awk":{},"#;
    assert_eq!(refused(&forger, "{", escaped), Some(TokenError::Header("jwk")));
}

#[test]
fn a_key_is_found_by_its_whole_name_among_the_issuers_alone() {
    let forger = Forger::new();
    let (kid, other) = (forger.key.kid(), SigningKey::from_seed(&[8; SigningKey::SEED]));
    let long = "k".repeat(1_000);
    for name in [
        "",
        "*",
        "0",
        " ",
        "../../dev/null",
        "key' OR '1'='1",
        "key|id",
        "https://attacker.example",
        &long,
        &kid[1..],
        &kid.to_lowercase(),
        &format!("{kid} "),
        &format!("{kid}\\u0000"),
        other.kid(),
    ] {
        assert_eq!(refused(&forger, kid, name), Some(TokenError::UnknownKey), "{name}");
    }
    for value in ["null", "0", "[]", &format!(r#"["{kid}"]"#)] {
        let named = format!(r#""{kid}""#);
        assert_eq!(refused(&forger, &named, value), Some(TokenError::UnknownKey), "{value}");
    }
    let without = format!(r#""kid":"{kid}","#);
    assert_eq!(refused(&forger, &without, ""), Some(TokenError::UnknownKey));
}

#[test]
fn a_token_of_another_type_is_none_for_access() {
    let forger = Forger::new();
    for typ in [
        "JWT",
        "rt+jwt",
        "logout+jwt",
        "secevent+jwt",
        "jwt",
        "",
        "at",
        "at+jwt ",
        "text/at+jwt",
        "application/application/at+jwt",
    ] {
        assert_eq!(refused(&forger, "at+jwt", typ), Some(TokenError::Type), "{typ}");
    }
    for value in ["null", "1", r#"["at+jwt"]"#] {
        assert_eq!(refused(&forger, r#""at+jwt""#, value), Some(TokenError::Type), "{value}");
    }
    assert_eq!(refused(&forger, r#","typ":"at+jwt""#, ""), Some(TokenError::Type));
    for typ in ["AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        assert_eq!(refused(&forger, "at+jwt", typ), None, "{typ}");
    }
}

#[test]
fn a_header_is_an_object_that_names_nothing_twice() {
    let forger = Forger::new();
    let header = forger.header();
    for (from, to) in [
        ("{", r#"{"alg":"none","#),
        ("}", r#","alg":"EdDSA"}"#),
        ("}", r#","kid":"other"}"#),
        ("}", r#","\u0061lg":"none"}"#),
        ("}", r#","note":{"a":1,"a":2}}"#),
        ("}", r#","note":[{"a":1,"a":2}]}"#),
        ("{", "[{"),
        ("}", "}}"),
        ("}", ""),
        ("}", ",}"),
    ] {
        assert_eq!(refused(&forger, from, to), Some(TokenError::Json), "{to}");
    }
    for whole in ["", "null", "[]", r#"["EdDSA"]"#, "\u{feff}{}", r#""EdDSA""#] {
        assert_eq!(forger.refused(whole, CLAIMS), Some(TokenError::Json), "{whole}");
    }
    assert_eq!(forger.refused(&format!("\u{feff}{header}"), CLAIMS), Some(TokenError::Json));
}

#[test]
fn what_a_header_says_beyond_our_business_is_ignored() {
    let forger = Forger::new();
    assert_eq!(refused(&forger, "}", r#","cty":"text","note":{"a":[1.5,null]}}"#), None);
    assert_eq!(refused(&forger, "{", " {\n"), None);
}
