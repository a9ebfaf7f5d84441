use std::fmt;

use http::StatusCode;
use types::ErrorClass;

use crate::Problem;

/// How the bytes of an HTTP/1 connection break the rules. The text is what the client is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    /// A bare LF is a line end to some readers and not to others, which is how requests are smuggled.
    #[error("every line of the head must end in CRLF")]
    LineEnd,
    #[error("the request line must be a method, a target and a version with one space between them")]
    RequestLine,
    #[error("the method must be a token")]
    Method,
    #[error("the target must be a path or an http address, in visible ASCII and without a fragment")]
    Target,
    #[error("the request line must not be longer than {0} bytes")]
    RequestLineTooLong(usize),
    #[error("the version must be HTTP/1.1 or HTTP/1.0")]
    Version,
    #[error("a header name must be a token")]
    FieldName,
    #[error("no white space may stand between the header {0} and its colon")]
    SpaceBeforeColon(FieldName),
    #[error("a header must not be folded over several lines")]
    Folded,
    #[error("the value of the header {0} must not contain control characters")]
    FieldValue(FieldName),
    #[error("there must not be more than {0} headers")]
    TooManyFields(usize),
    #[error("the head must not be larger than {0} bytes")]
    HeadTooLarge(usize),
    #[error("the head must arrive within {0} seconds")]
    HeadTooSlow(u64),
    #[error("the header content-length must be one decimal number")]
    ContentLength,
    #[error("the header {0} must not be given twice")]
    Twice(&'static str),
    #[error("content-length and transfer-encoding must not be given together")]
    TwoLengths,
    #[error("the header transfer-encoding must be chunked and nothing else")]
    TransferEncoding,
    #[error("the header transfer-encoding is not known to HTTP/1.0")]
    TransferEncodingBeforeItsTime,
}

impl Violation {
    /// The answer to the request that breaks the rule.
    pub(crate) fn problem(&self) -> Problem {
        let (class, status) = match self {
            Self::RequestLineTooLong(_) => (ErrorClass::TooLarge, StatusCode::URI_TOO_LONG),
            Self::TooManyFields(_) | Self::HeadTooLarge(_) => {
                (ErrorClass::TooLarge, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            }
            Self::HeadTooSlow(_) => (ErrorClass::Unavailable, StatusCode::REQUEST_TIMEOUT),
            Self::Version => (ErrorClass::Invalid, StatusCode::HTTP_VERSION_NOT_SUPPORTED),
            _ => (ErrorClass::Invalid, StatusCode::BAD_REQUEST),
        };
        Problem::new(class, self.to_string()).with_status(status)
    }
}

/// The name of an offending header, which is the sender's own text: visible and cut short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldName(String);

impl FieldName {
    /// Longer than any name in use.
    const LONGEST: usize = 64;

    pub(super) fn new(name: &[u8]) -> Self {
        let shown = name.iter().take(Self::LONGEST);
        Self(shown.map(|byte| byte.to_ascii_lowercase().escape_ascii().to_string()).collect())
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
