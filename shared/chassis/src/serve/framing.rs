//! Strict HTTP/1 framing: where one request ends and the next begins must have one answer.
//!
//! hyper is lenient where it must talk to everybody: given both `Content-Length` and `Transfer-Encoding` it
//! picks one in silence, it takes a bare LF for a line end, and what it does refuse it refuses without a body.
//! So the bytes of a connection pass through a [`Wire`], which holds a head back until every line of it has
//! been read by the rules, and lets bodies through untouched. On a violation hyper gets a well-formed request
//! in place of the offending one and then nothing more, so that the refusal is answered like any request, in its
//! turn, by the stack that knows how; [`Ending`] tells that stack which request it is.
//!
//! A chunked body is left to hyper's decoder, which is strict. Only hyper knows where such a body ends, so
//! the connection ends with it: that costs a reconnect, and spares a second decoder that would have to agree
//! with the first in every detail.

mod head;
mod violation;
mod wire;

pub(crate) use violation::Violation;
pub(crate) use wire::{Ending, Patience, Place, Wire};

pub(crate) use head::{LARGEST_HEAD, LONGEST_REQUEST_LINE, MOST_FIELDS};

use head::{Following, Head};
use memchr::memchr;

/// What hyper reads in place of an offending request.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

/// Reads requests off a connection's bytes, as far as they are there.
#[derive(Debug)]
enum Reader {
    /// Within a head. The first `scanned` bytes hold no line end beyond `line`, where the current line starts.
    Head { head: Head, line: usize, scanned: usize },
    /// Within a body of known length.
    Body { left: u64 },
    /// Within what is left to hyper: the last request's body, or HTTP/2.
    Open,
    /// The connection's last request was refused.
    Refused,
}

/// What the reader says about the bytes it was shown.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// So many of them may pass.
    Pass(usize),
    /// A head has begun and more bytes are needed to judge it.
    More,
    /// A whole head of so many bytes may pass, and is the last one.
    Last(usize),
}

impl Default for Reader {
    fn default() -> Self {
        Self::Head { head: Head::default(), line: 0, scanned: 0 }
    }
}

impl Reader {
    /// Judges `bytes`, which start where the last ones that passed ended.
    fn judge(&mut self, bytes: &[u8]) -> Result<Verdict, Violation> {
        match self {
            Self::Head { head, line, scanned } => {
                let following = read_lines(head, line, scanned, bytes)?;
                let Some(following) = following else { return Ok(Verdict::More) };
                let size = *line;
                Ok(self.follow(following, size))
            }
            Self::Body { left } => {
                let passed = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= passed as u64;
                if *left == 0 {
                    *self = Self::default();
                }
                Ok(Verdict::Pass(passed))
            }
            Self::Open => Ok(Verdict::Pass(bytes.len())),
            Self::Refused => Ok(Verdict::More),
        }
    }

    fn follow(&mut self, following: Following, size: usize) -> Verdict {
        match following {
            Following::LastBody => *self = Self::Open,
            Following::Body(0) => *self = Self::default(),
            Following::Body(left) => *self = Self::Body { left },
        }
        if following == Following::LastBody { Verdict::Last(size) } else { Verdict::Pass(size) }
    }
}

/// Reads the lines that are complete, each once, and leaves `line` behind the last of them.
fn read_lines(
    head: &mut Head,
    line: &mut usize,
    scanned: &mut usize,
    bytes: &[u8],
) -> Result<Option<Following>, Violation> {
    while let Some(found) = memchr(b'\n', &bytes[*scanned..]) {
        let end = *scanned + found;
        let text = bytes[*line..end].strip_suffix(b"\r").ok_or(Violation::LineEnd)?;
        // RFC 9112, section 2.2: an empty line before the request is passed over. hyper does so, too.
        let passed_over = text.is_empty() && head.is_new() && *line == 0;
        (*scanned, *line) = (end + 1, end + 1);
        if *line > LARGEST_HEAD {
            return Err(Violation::HeadTooLarge(LARGEST_HEAD));
        }
        if !passed_over && let Some(following) = head.read(text)? {
            return Ok(Some(following));
        }
    }
    *scanned = bytes.len();
    if head.is_new() && bytes.len() - *line > LONGEST_REQUEST_LINE {
        return Err(Violation::RequestLineTooLong(LONGEST_REQUEST_LINE));
    }
    if bytes.len() > LARGEST_HEAD {
        return Err(Violation::HeadTooLarge(LARGEST_HEAD));
    }
    Ok(None)
}
