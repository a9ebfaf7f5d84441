use http::{HeaderMap, HeaderName, HeaderValue};
use runtime::Ids;

/// The header that carries it.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The name of one request, in the answer's `x-request-id`, in problems and in logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// A UUID takes 36; gateways elsewhere use longer ones.
    const LONGEST: usize = 64;

    /// The caller's own name for the request, where the caller is `trusted` to give one; else a new one.
    pub(super) fn of(headers: &HeaderMap, trusted: bool, ids: &Ids) -> Self {
        let given = headers.get(HEADER).filter(|id| trusted && is_well_formed(id.as_bytes()));
        given.cloned().map_or_else(|| Self::new(ids), Self)
    }

    fn new(ids: &Ids) -> Self {
        let mut text = uuid::Uuid::encode_buffer();
        let text = ids.uuid().hyphenated().encode_lower(&mut text);
        Self(HeaderValue::from_str(text).expect("hex digits and dashes are a header value"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("an id is visible ASCII")
    }

    /// The id as a header's value.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// Characters that mean nothing to a log, a shell or a URI, since the id goes into all three.
fn is_well_formed(id: &[u8]) -> bool {
    let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    (1..=RequestId::LONGEST).contains(&id.len()) && id.iter().all(harmless)
}

#[cfg(test)]
mod tests {
    use runtime::{Clock, Env, Net, Random};
    use types::Timestamp;

    use super::*;

    fn id_of(given: &str, trusted: bool) -> String {
        let clock = Clock::reading(|| Timestamp::from_micros(1_785_000_000_123_000));
        let env = Env::simulated(clock, Random::seeded(1), Net::system());
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_str(given).unwrap());
        RequestId::of(&headers, trusted, &env.ids).as_str().to_owned()
    }

    #[tokio::test]
    async fn an_id_is_kept_when_it_is_well_formed_and_comes_from_a_trusted_caller() {
        assert_eq!(id_of("checkout-17.a_B", true), "checkout-17.a_B");
        let longest = "a".repeat(64);
        assert_eq!(id_of(&longest, true), longest);
        let too_long = "a".repeat(65);
        for (given, trusted) in
            [("checkout-17", false), ("", true), ("a b", true), ("a<b", true), (&too_long, true)]
        {
            let made = id_of(given, trusted);
            assert!(made.starts_with("019f9a4a-7a7b-7"), "{given} became {made}");
        }
    }
}
