use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A service's name, as it stands in discovery, in certificates and on metrics: a DNS label (RFC 1123).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Cow<'static, str>);

/// The text is not a service's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 63 lower-case letters, digits or hyphens, such as order-service")]
pub struct ServiceNameError;

impl ServiceName {
    /// A name that stands in the code; a wrong one does not compile when this is used in a `const`.
    #[expect(clippy::panic, reason = "evaluated by the compiler, where a panic is a compile error")]
    pub const fn new(name: &'static str) -> Self {
        if !is_label(name.as_bytes()) {
            panic!("a service's name is 1 to 63 lower-case letters, digits or hyphens");
        }
        Self(Cow::Borrowed(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_label(name: &[u8]) -> bool {
    const MAX: usize = 63;
    if name.is_empty() || name.len() > MAX || name[0] == b'-' || name[name.len() - 1] == b'-' {
        return false;
    }
    let mut at = 0;
    while at < name.len() {
        if !matches!(name[at], b'a'..=b'z' | b'0'..=b'9' | b'-') {
            return false;
        }
        at += 1;
    }
    true
}

impl FromStr for ServiceName {
    type Err = ServiceNameError;

    fn from_str(text: &str) -> Result<Self, ServiceNameError> {
        if is_label(text.as_bytes()) { Ok(Self(Cow::Owned(text.to_owned()))) } else { Err(ServiceNameError) }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_dns_label_is_refused() {
        for text in ["", "-a", "a-", "Order", "order_service", "a.b", &"a".repeat(64)] {
            assert_eq!(text.parse::<ServiceName>(), Err(ServiceNameError), "{text}");
        }
        assert_eq!("order-service".parse(), Ok(ServiceName::new("order-service")));
    }
}
