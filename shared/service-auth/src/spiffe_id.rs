use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use types::ServiceName;

/// The trust domain of a platform that was given no other.
pub const DEFAULT_TRUST_DOMAIN: &str = "flotilla.internal";

const SCHEME: &str = "spiffe://";

/// The workloads that one authority vouches for: the first part of their ids.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Arc<str>);

/// The name of a workload, such as `spiffe://flotilla.internal/service/order-service`, as the SPIFFE
/// standard defines it. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId(Arc<str>);

/// The caller of a request, as its certificate tells; stands in the request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer(
    /// Who it is.
    pub SpiffeId,
);

/// The text is not a SPIFFE id or not a trust domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeIdError {
    /// It is longer than the standard allows.
    #[error("must be at most 2048 bytes long")]
    TooLong,
    /// It does not start as it must.
    #[error("must start with spiffe://")]
    Scheme,
    /// The trust domain is wrong.
    #[error("must have a trust domain of 1 to 255 lower-case letters, digits, dots, dashes or underscores")]
    TrustDomain,
    /// The path is wrong.
    #[error(
        "must have a path of letters, digits, dots, dashes and underscores, without empty or dot segments"
    )]
    Path,
}

impl TrustDomain {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TrustDomain {
    fn default() -> Self {
        Self(DEFAULT_TRUST_DOMAIN.into())
    }
}

impl FromStr for TrustDomain {
    type Err = SpiffeIdError;

    fn from_str(text: &str) -> Result<Self, SpiffeIdError> {
        const MAX: usize = 255;
        let allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
        if text.is_empty() || text.len() > MAX || !text.bytes().all(allowed) {
            return Err(SpiffeIdError::TrustDomain);
        }
        Ok(Self(text.into()))
    }
}

impl SpiffeId {
    /// The id of a service of the platform.
    pub fn service(trust_domain: &TrustDomain, name: &ServiceName) -> Self {
        Self(format!("{SCHEME}{trust_domain}/service/{name}").into())
    }

    /// The id of the operators' command line.
    pub fn operator(trust_domain: &TrustDomain) -> Self {
        Self(format!("{SCHEME}{trust_domain}/operator").into())
    }

    /// The id as a URI.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trust domain that the id is in.
    pub fn trust_domain(&self) -> TrustDomain {
        TrustDomain(self.parts().0.into())
    }

    /// Whether this is an id of the given trust domain.
    pub fn is_in(&self, trust_domain: &TrustDomain) -> bool {
        self.parts().0 == trust_domain.as_str()
    }

    /// The path without its first slash: `service/order-service`. Empty for the id of a trust domain itself,
    /// which an authority may carry and a workload may not.
    pub fn path(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        let rest = &self.0[SCHEME.len()..];
        rest.split_once('/').unwrap_or((rest, ""))
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeIdError;

    fn from_str(text: &str) -> Result<Self, SpiffeIdError> {
        const MAX: usize = 2048;
        if text.len() > MAX {
            return Err(SpiffeIdError::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(SpiffeIdError::Scheme)?;
        let (trust_domain, path) = match rest.split_once('/') {
            Some((trust_domain, path)) => (trust_domain, Some(path)),
            None => (rest, None),
        };
        trust_domain.parse::<TrustDomain>()?;
        // Query, fragment, port, user and escapes all need a character that is not allowed.
        if path.is_some_and(|path| !path.split('/').all(is_segment)) {
            return Err(SpiffeIdError::Path);
        }
        Ok(Self(text.into()))
    }
}

fn is_segment(segment: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !matches!(segment, "" | "." | "..") && segment.bytes().all(allowed)
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_of_services_and_operators_are_read_back_as_they_were_written() {
        let domain = TrustDomain::default();
        let service = SpiffeId::service(&domain, &ServiceName::new("order-service"));
        assert_eq!(service.as_str(), "spiffe://flotilla.internal/service/order-service");
        assert_eq!(SpiffeId::operator(&domain).as_str(), "spiffe://flotilla.internal/operator");
        assert_eq!(service.as_str().parse(), Ok(service.clone()));
        assert_eq!(service.path(), "service/order-service");
        assert!(service.is_in(&domain));
        assert!(!service.is_in(&"flotilla".parse().unwrap()));
    }

    #[test]
    fn no_service_can_take_the_operators_name() {
        let domain = TrustDomain::default();
        let named_so = SpiffeId::service(&domain, &ServiceName::new("operator"));
        assert_ne!(named_so, SpiffeId::operator(&domain));
    }

    #[test]
    fn what_breaks_the_standard_is_refused() {
        use SpiffeIdError::{Path, Scheme, TooLong, TrustDomain};
        let long_domain = format!("spiffe://{}/a", "d".repeat(256));
        let long = format!("spiffe://d/{}", "p".repeat(2048));
        let cases = [
            ("", Scheme),
            ("https://d/a", Scheme),
            ("SPIFFE://d/a", Scheme),
            ("spiffe:/d/a", Scheme),
            ("spiffe://", TrustDomain),
            ("spiffe:///a", TrustDomain),
            ("spiffe://D/a", TrustDomain),
            ("spiffe://d:80/a", TrustDomain),
            ("spiffe://u@d/a", TrustDomain),
            ("spiffe://d%2f/a", TrustDomain),
            ("spiffe://d?q", TrustDomain),
            (&long_domain, TrustDomain),
            ("spiffe://d/", Path),
            ("spiffe://d/a/", Path),
            ("spiffe://d//a", Path),
            ("spiffe://d/./a", Path),
            ("spiffe://d/a/..", Path),
            ("spiffe://d/a?q=1", Path),
            ("spiffe://d/a#f", Path),
            ("spiffe://d/%61", Path),
            ("spiffe://d/ä", Path),
            ("spiffe://d/a b", Path),
            (&long, TooLong),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<SpiffeId>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn what_keeps_the_standard_is_accepted() {
        let longest = format!("spiffe://{}/{}", "d".repeat(255), "p".repeat(2048 - 10 - 255));
        assert_eq!(longest.len(), 2048);
        for text in ["spiffe://d", "spiffe://a.b-c_1/X/y.z/...", &longest] {
            assert_eq!(text.parse::<SpiffeId>().as_ref().map(SpiffeId::as_str), Ok(text));
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_kept_as_it_is(text in "spiffe://[a-zA-Z0-9./_%?#@:-]{0,40}") {
            if let Ok(id) = text.parse::<SpiffeId>() {
                prop_assert_eq!(id.as_str(), &text);
                prop_assert!(!text[SCHEME.len()..].contains(['%', '?', '#', '@', ':']));
                prop_assert!(!text.contains("/../") && !text.ends_with('/'));
            }
        }
    }
}
