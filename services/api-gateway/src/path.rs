//! Paths that everybody reads in the same way.
//!
//! The gateway decides by the path who may ask, and the service decides what is meant. Were `/auth/%73essions` or
//! `/auth/x/../sessions` let through, the two might differ. Nothing is rewritten: a path is in its normal form (RFC
//! 3986, section 6.2.2) or refused, and goes on as it came.

use chassis::Problem;
use types::ErrorClass;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    #[error("the path must begin with a slash")]
    NoSlash,
    #[error("the path must not have empty segments")]
    EmptySegment,
    #[error("the path must not have the segments . and ..")]
    DotSegment,
    #[error("the path must have two hexadecimal digits after each %")]
    BrokenEscape,
    #[error("the path must not have slashes, backslashes or control characters behind a %")]
    HiddenDelimiter,
    #[error("the path must have letters, digits and -._~ as they are, not behind a %")]
    NeedlessEscape,
    #[error("the path must have only characters that RFC 3986 allows there")]
    Character,
}

impl From<PathError> for Problem {
    fn from(error: PathError) -> Self {
        Self::new(ErrorClass::Invalid, error.to_string())
    }
}

/// Takes `path` as it is, or not. One empty segment may stand at the end.
pub(crate) fn check(path: &str) -> Result<(), PathError> {
    let segments = path.strip_prefix('/').ok_or(PathError::NoSlash)?.as_bytes();
    let mut begin = 0;
    let mut at = 0;
    while at < segments.len() {
        match segments[at] {
            b'/' => {
                segment(&segments[begin..at])?;
                begin = at + 1;
            }
            b'%' => {
                escape(&segments[at + 1..])?;
                at += 2;
            }
            byte if is_plain(byte) || b"!$&'()*+,;=:@".contains(&byte) => {}
            _ => return Err(PathError::Character),
        }
        at += 1;
    }
    match &segments[begin..] {
        [] => Ok(()),
        last => segment(last),
    }
}

fn segment(segment: &[u8]) -> Result<(), PathError> {
    match segment {
        b"" => Err(PathError::EmptySegment),
        b"." | b".." => Err(PathError::DotSegment),
        _ => Ok(()),
    }
}

fn escape(rest: &[u8]) -> Result<(), PathError> {
    let digit = |at: usize| rest.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    let (Some(high), Some(low)) = (digit(0), digit(1)) else { return Err(PathError::BrokenEscape) };
    match u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte") {
        b'/' | b'\\' => Err(PathError::HiddenDelimiter),
        byte if byte.is_ascii_control() => Err(PathError::HiddenDelimiter),
        byte if is_plain(byte) => Err(PathError::NeedlessEscape),
        _ => Ok(()),
    }
}

/// "Unreserved" in RFC 3986: means the same behind a `%` and without.
pub(crate) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_in_its_normal_form_is_taken() {
        for path in [
            "/",
            "/users",
            "/users/",
            "/users/me",
            "/.well-known/jwks.json",
            "/a/...",
            "/a/..b",
            "/a;b=c/d,e:f@g",
            "/caf%C3%A9",
            "/caf%c3%a9",
            "/a%20b",
            "/a%3Fb%23c%25d",
            "/~ada/a-b_c!$&'()*+=",
        ] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn a_path_with_two_readings_is_refused() {
        let refused = [
            ("", PathError::NoSlash),
            ("*", PathError::NoSlash),
            ("users", PathError::NoSlash),
            ("//", PathError::EmptySegment),
            ("//users", PathError::EmptySegment),
            ("/auth//sessions", PathError::EmptySegment),
            ("/users//", PathError::EmptySegment),
            ("/auth/../users", PathError::DotSegment),
            ("/auth/..", PathError::DotSegment),
            ("/auth/./sessions", PathError::DotSegment),
            ("/.", PathError::DotSegment),
            ("/auth/%2e%2e/users", PathError::NeedlessEscape),
            ("/auth/%2E./users", PathError::NeedlessEscape),
            ("/auth/.%2e/users", PathError::NeedlessEscape),
            ("/auth/%73essions", PathError::NeedlessEscape),
            ("/%7Eada", PathError::NeedlessEscape),
            ("/auth%2fsessions", PathError::HiddenDelimiter),
            ("/auth%2Fsessions", PathError::HiddenDelimiter),
            ("/auth/..%2fusers", PathError::HiddenDelimiter),
            ("/auth/..%5cusers", PathError::HiddenDelimiter),
            ("/a%00", PathError::HiddenDelimiter),
            ("/a%0d%0ahost:b", PathError::HiddenDelimiter),
            ("/a%7f", PathError::HiddenDelimiter),
            ("/a%", PathError::BrokenEscape),
            ("/a%2", PathError::BrokenEscape),
            ("/a%zz", PathError::BrokenEscape),
            ("/a%u002f", PathError::BrokenEscape),
            ("/auth\\sessions", PathError::Character),
            ("/auth/..\\users", PathError::Character),
            ("/a b", PathError::Character),
            ("/a\"b", PathError::Character),
            ("/a|b", PathError::Character),
            ("/a{b}", PathError::Character),
            ("/caf\u{e9}", PathError::Character),
        ];
        for (path, why) in refused {
            assert_eq!(check(path), Err(why), "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_has_the_same_segments_once_it_is_decoded(
            path in "/(([a-z.]|%2[ef]|%2[EF]|%5[cC]|%61|%25|%20|[/.\\\\;]){0,12})",
        ) {
            if check(&path).is_ok() {
                let decoded = percent_decode_str(&path).decode_utf8().unwrap();
                prop_assert_eq!(decoded.split('/').count(), path.split('/').count());
                prop_assert!(!decoded.contains("//") && !decoded.contains('\\'));
                prop_assert!(!decoded.split('/').any(|segment| segment == "." || segment == ".."));
            }
        }

        #[test]
        fn no_text_makes_the_check_fail_otherwise(path in "\\PC{0,40}") {
            let _read = check(&path);
        }
    }
}
