//! The W3C trace context (levels 1 and 2): which trace a piece of work belongs to.

mod tracestate;

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use runtime::Random;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

const SAMPLED: u8 = 0b01;
/// Level 2: the trace's id is random, so that samplers may decide by it.
const RANDOM: u8 = 0b10;

/// The place of one piece of work in its trace. What goes to another service carries the same trace with
/// this span as the parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    flags: u8,
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// The length of a `traceparent` of the version that is known.
    const LENGTH: usize = 55;

    /// A new trace, which is recorded.
    pub fn new(random: &Random) -> Self {
        Self { trace_id: non_zero(random), span_id: non_zero(random), flags: SAMPLED | RANDOM, state: None }
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn child(&self, random: &Random) -> Self {
        Self { span_id: non_zero(random), ..self.clone() }
    }

    /// Reads the headers' text. A `traceparent` that breaks the standard is as none, and a `tracestate` that
    /// does is dropped, as the standard wants: a bad trace must never fail a good request.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let bytes = traceparent.as_bytes();
        let (known, rest) = bytes.split_at_checked(Self::LENGTH)?;
        let [version] = hex(&known[..2])?;
        // A later version may only add to the end, after a dash; ff is no version.
        let ends_well = match version {
            0x00 => rest.is_empty(),
            0xff => false,
            _ => rest.first().is_none_or(|&next| next == b'-'),
        };
        let separated = [2, 35, 52].iter().all(|&at| known[at] == b'-');
        if !ends_well || !separated {
            return None;
        }
        let trace_id = hex(&known[3..35])?;
        let span_id = hex(&known[36..52])?;
        let [flags] = hex(&known[53..])?;
        if trace_id == [0; 16] || span_id == [0; 8] {
            return None;
        }
        let state = tracestate.and_then(tracestate::parse);
        Some(Self { trace_id, span_id, flags: flags & (SAMPLED | RANDOM), state })
    }

    /// The context of a request. Two `traceparent` headers are as none; several `tracestate` headers are
    /// one list.
    pub fn extract(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let (parent, None) = (parents.next()?, parents.next()) else { return None };
        let states: Result<Vec<_>, _> = headers.get_all(TRACESTATE).iter().map(HeaderValue::to_str).collect();
        let state = states.ok().filter(|states| !states.is_empty()).map(|states| states.join(","));
        Self::parse(parent.to_str().ok()?, state.as_deref())
    }

    /// Puts the context into a request's headers, in place of any other.
    pub fn inject(&self, headers: &mut HeaderMap) {
        let parent = HeaderValue::from_bytes(&self.text()).expect("hex digits and dashes are a header value");
        headers.insert(TRACEPARENT, parent);
        match self.state.as_deref().map(HeaderValue::from_str) {
            Some(Ok(state)) => headers.insert(TRACESTATE, state),
            _ => headers.remove(TRACESTATE),
        };
    }

    /// The text of `traceparent`.
    pub fn header(&self) -> String {
        str::from_utf8(&self.text()).expect("hex digits are ASCII").to_owned()
    }

    fn text(&self) -> [u8; Self::LENGTH] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&self.trace_id, &mut text[3..35]);
        write_hex(&self.span_id, &mut text[36..52]);
        write_hex(&[self.flags], &mut text[53..]);
        text
    }

    /// The text of `tracestate`: what other vendors' tools want carried along.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The trace's id, which prints as 32 hex digits.
    pub fn trace_id(&self) -> impl fmt::Display {
        Hex(&self.trace_id)
    }

    /// The span's id, which prints as 16 hex digits.
    pub fn span_id(&self) -> impl fmt::Display {
        Hex(&self.span_id)
    }

    pub(crate) fn trace_bytes(&self) -> &[u8] {
        &self.trace_id
    }

    pub(crate) fn span_bytes(&self) -> &[u8] {
        &self.span_id
    }

    /// Whether the trace is recorded.
    pub fn sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// Bytes from lower-case hex digits, which are the only ones the standard allows.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// The lower-case hex digits of `bytes`, two for each. Every request prints two ids, some of them twice: a table costs a
/// tenth of what formatting byte by byte does.
fn write_hex(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (digits, byte) in text.chunks_exact_mut(2).zip(bytes) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// An id of all zeros means that there is none.
fn non_zero<const N: usize>(random: &Random) -> [u8; N] {
    let mut id = random.bytes();
    while id == [0; N] {
        id = random.bytes();
    }
    id
}

/// Bytes that print as lower-case hex digits.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for bytes in self.0.chunks(16) {
            let mut text = [0; 32];
            write_hex(bytes, &mut text);
            f.write_str(str::from_utf8(&text[..2 * bytes.len()]).expect("hex digits are ASCII"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_and_written_back_unchanged() {
        let context = TraceContext::parse(PARENT, Some("vendor=a,other=b")).unwrap();
        assert_eq!(context.header(), PARENT);
        assert_eq!(context.state(), Some("vendor=a,other=b"));
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
        assert!(context.sampled());
    }

    #[test]
    fn what_breaks_the_standard_is_as_none() {
        let broken = [
            ("", "empty"),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", "no flags"),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1", "one digit of flags"),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "version ff"),
            ("0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "version no hex"),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", "zero trace"),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", "zero span"),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "upper case"),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0A", "upper case in flags"),
            ("00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "other separator"),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-", "longer than version 00"),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", "more than version 00"),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.x", "later version without a dash"),
            (" 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "space"),
        ];
        for (text, what) in broken {
            assert_eq!(TraceContext::parse(text, None), None, "{what}: {text}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known_and_goes_on_as_ours() {
        for text in [&PARENT.replacen("00", "cc", 1), &format!("{}-more", PARENT.replacen("00", "01", 1))] {
            assert_eq!(TraceContext::parse(text, None).unwrap().header(), PARENT);
        }
    }

    #[test]
    fn flags_that_are_not_known_are_not_passed_on() {
        let context = TraceContext::parse(&PARENT.replace("-01", "-ff"), None).unwrap();
        assert_eq!(context.header(), PARENT.replace("-01", "-03"));
    }

    #[test]
    fn a_child_is_another_span_of_the_same_trace() {
        let random = Random::seeded(1);
        let parent = TraceContext::parse(PARENT, Some("vendor=a")).unwrap();
        let child = parent.child(&random);
        assert_eq!(child.trace_id().to_string(), parent.trace_id().to_string());
        assert_ne!(child.span_id().to_string(), parent.span_id().to_string());
        assert_eq!(child.state(), Some("vendor=a"));
        assert!(TraceContext::new(&random).header().ends_with("-03"));
    }

    #[test]
    fn a_context_goes_through_headers_and_replaces_what_was_there() {
        let context = TraceContext::parse(PARENT, Some("vendor=a")).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static("forged"));
        context.inject(&mut headers);
        assert_eq!(TraceContext::extract(&headers), Some(context));

        TraceContext::parse(PARENT, None).unwrap().inject(&mut headers);
        assert_eq!(TraceContext::extract(&headers).unwrap().state(), None);
    }

    #[test]
    fn two_parents_are_as_none_and_several_states_are_one_list() {
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, HeaderValue::from_static(PARENT));
        headers.append(TRACESTATE, HeaderValue::from_static("a=1"));
        headers.append(TRACESTATE, HeaderValue::from_static("b=2"));
        assert_eq!(TraceContext::extract(&headers).unwrap().state(), Some("a=1,b=2"));
        headers.append(TRACEPARENT, HeaderValue::from_static(PARENT));
        assert_eq!(TraceContext::extract(&headers), None);
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_so_that_it_reads_the_same(
            parent in "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,9})?",
            state in proptest::option::of(".{0,80}"),
        ) {
            if let Some(context) = TraceContext::parse(&parent, state.as_deref()) {
                prop_assert_eq!(TraceContext::parse(&context.header(), context.state()), Some(context));
            }
        }

        #[test]
        fn no_text_makes_the_parser_fail(parent in "\\PC{0,80}", state in "\\PC{0,600}") {
            let _read = TraceContext::parse(&parent, Some(&state));
        }
    }
}
