use std::fmt;
use std::str::FromStr;

/// An e-mail address in the one form in which it is stored and compared: folded to lower case.
///
/// The check is deliberately shallow: one `@`, a dotted domain, no white space, control characters or characters
/// that show as nothing, and the lengths of RFC 5321. Only a mail that arrives proves an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(String);

/// Why a text is not an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// There is no `@`, or no name or domain around it.
    #[error("must be an e-mail address such as ada@example.com")]
    Malformed,
    /// RFC 5321, section 4.5.3.1: 64 octets before the `@`, 254 in all.
    #[error("must be at most 254 bytes, at most 64 of them before the @")]
    TooLong,
}

impl Email {
    const MAX: usize = 254;
    const MAX_LOCAL: usize = 64;

    /// One that was accepted before and kept since: the rules may have become stricter, and it stays an address.
    pub fn kept(folded: String) -> Self {
        Self(folded)
    }

    /// The folded address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = EmailError;

    fn from_str(text: &str) -> Result<Self, EmailError> {
        // Folding happens here and not in SQL, because the databases' `lower` differ beyond ASCII.
        let folded = text.to_lowercase();
        let (local, domain) = folded.rsplit_once('@').ok_or(EmailError::Malformed)?;
        if folded.len() > Email::MAX || local.len() > Email::MAX_LOCAL {
            return Err(EmailError::TooLong);
        }
        let banned =
            |c: char| c.is_whitespace() || c.is_control() || is_invisible(c) || "@,;<>()[]\\\"".contains(c);
        let labels_hold = domain
            .split('.')
            .all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'));
        let dots_hold = !local.starts_with('.') && !local.ends_with('.') && !local.contains("..");
        if local.is_empty()
            || folded.chars().filter(|&c| c == '@').count() != 1
            || local.contains(banned)
            || domain.contains(banned)
            || !domain.contains('.')
            || !labels_hold
            || !dots_hold
        {
            return Err(EmailError::Malformed);
        }
        Ok(Self(folded))
    }
}

/// Unicode's `Default_Ignorable_Code_Point`, zero-width and format characters for the most part: two addresses that
/// differ in one of these alone look the same to whoever reads them.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}'
    )
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_compared_without_regard_to_case() {
        let one: Email = "Ada.Lovelace@Example.COM".parse().unwrap();
        let other: Email = "ada.lovelace@example.com".parse().unwrap();
        assert_eq!(one, other);
        assert_eq!(one.as_str(), "ada.lovelace@example.com");
    }

    #[test]
    fn what_cannot_be_an_address_is_refused() {
        for text in [
            "",
            "@",
            "ada",
            "ada@",
            "@example.com",
            "ada@example",
            "ada@@example.com",
            "a da@example.com",
            "ada@exa mple.com",
            "ada@example..com",
            "ada@.com",
            "ada@example.com.",
            "ada\n@example.com",
            "ada\0@example.com",
            ".ada@example.com",
            "ada.@example.com",
            "a..b@example.com",
            "ada@-example.com",
            "<ada@example.com>",
            "a\u{200B}da@example.com",
            "ada\u{200D}@example.com",
            "ada@exam\u{AD}ple.com",
            "ada@example.com\u{202E}",
            "\u{FEFF}ada@example.com",
            "ada\u{E0061}@example.com",
        ] {
            assert_eq!(text.parse::<Email>(), Err(EmailError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn an_address_over_the_lengths_of_the_standard_is_refused() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long_domain = format!("ada@{}.com", "a".repeat(250));
        assert_eq!(long_local.parse::<Email>(), Err(EmailError::TooLong));
        assert_eq!(long_domain.parse::<Email>(), Err(EmailError::TooLong));
    }
}
