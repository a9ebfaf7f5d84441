use std::sync::Arc;

/// What every party must be able to carry, and the most we do.
const LONGEST: usize = 512;
/// The standard's bound.
const MOST_MEMBERS: usize = 32;
/// The longest key and the longest value.
const LONGEST_PART: usize = 256;

/// The list as it goes on, or nothing where it is empty or breaks the standard or a bound. It is carried
/// whole or not at all: cutting another vendor's list would need to know what it means.
pub(super) fn parse(text: &str) -> Option<Arc<str>> {
    if text.len() > LONGEST {
        return None;
    }
    let members = || text.split(',').map(trim).filter(|member| !member.is_empty());
    let mut keys = Vec::with_capacity(MOST_MEMBERS);
    for member in members() {
        let (key, value) = member.split_once('=')?;
        if keys.len() == MOST_MEMBERS || keys.contains(&key) || !is_key(key) || !is_value(value) {
            return None;
        }
        keys.push(key);
    }
    (!keys.is_empty()).then(|| members().collect::<Vec<_>>().join(",").into())
}

fn trim(member: &str) -> &str {
    member.trim_matches([' ', '\t'])
}

fn is_key(key: &str) -> bool {
    let starts_well = key.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
    let allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    starts_well && key.len() <= LONGEST_PART && key.bytes().all(allowed)
}

/// Printable ASCII without comma and equals sign. A space at the end cannot be there: it was trimmed.
fn is_value(value: &str) -> bool {
    let allowed = |byte| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=';
    !value.is_empty() && value.len() <= LONGEST_PART && value.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_carried_without_the_blanks_around_its_members() {
        let lists = [
            ("a=1", "a=1"),
            ("a=1,b=2", "a=1,b=2"),
            (" a=1 ,\tb= 2,, ", "a=1,b= 2"),
            ("tenant@vendor=x/y;z:0", "tenant@vendor=x/y;z:0"),
            ("0a=1", "0a=1"),
        ];
        for (text, expected) in lists {
            assert_eq!(parse(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_list_that_breaks_the_standard_is_dropped_whole() {
        let long_key = format!("{}=1", "k".repeat(257));
        let long_value = format!("k={}", "v".repeat(257));
        for text in [
            "",
            ",",
            "a",
            "a=",
            "=1",
            "A=1",
            "@a=1",
            "a=b=c",
            "a=1,a=2",
            "ä=1",
            "a=ä",
            "a =1",
            &long_key,
            &long_value,
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_list_is_carried_up_to_its_bounds_and_dropped_beyond() {
        let members = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert!(parse(&members(32)).is_some());
        assert_eq!(parse(&members(33)), None);
        let sized = |size: usize| format!("a={},b={}", "v".repeat(256), "v".repeat(size - 261));
        assert_eq!(parse(&sized(512)).map(|text| text.len()), Some(512));
        assert_eq!(parse(&format!("{},c=1", sized(509))), None);
    }
}
