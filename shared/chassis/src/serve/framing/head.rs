use http::Uri;

use super::violation::{FieldName, Violation};

/// RFC 9112, section 3, asks for 8000 at the least.
pub(crate) const LONGEST_REQUEST_LINE: usize = 8 * 1024;
/// Browsers and proxies send a tenth of it; a token of 8 KiB still fits.
pub(crate) const LARGEST_HEAD: usize = 16 * 1024;
/// As many as hyper reads without allocating.
pub(crate) const MOST_FIELDS: usize = 100;

/// What a head says about the bytes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Following {
    /// So many bytes of body, then another head.
    Body(u64),
    /// A body that only hyper can tell the end of, so that no other request may follow it.
    LastBody,
}

/// The head of a request, read line by line.
#[derive(Debug, Default)]
pub(super) struct Head {
    version: Option<Version>,
    fields: usize,
    content_length: Option<u64>,
    chunked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

impl Head {
    /// Whether no line has been read yet.
    pub(super) fn is_new(&self) -> bool {
        self.version.is_none()
    }

    /// Reads the next line, which comes without its CRLF. The empty one ends the head.
    pub(super) fn read(&mut self, line: &[u8]) -> Result<Option<Following>, Violation> {
        let Some(version) = self.version else {
            self.version = Some(request_line(line)?);
            return Ok(None);
        };
        if line.is_empty() {
            return self.end(version).map(Some);
        }
        self.field(line).map(|()| None)
    }

    fn end(&self, version: Version) -> Result<Following, Violation> {
        match (version, self.chunked, self.content_length) {
            (_, true, Some(_)) => Err(Violation::TwoLengths),
            (Version::Http10, true, None) => Err(Violation::TransferEncodingBeforeItsTime),
            (Version::Http11, true, None) | (Version::Http10, false, _) => Ok(Following::LastBody),
            (Version::Http11, false, length) => Ok(Following::Body(length.unwrap_or(0))),
        }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Violation> {
        self.fields += 1;
        if self.fields > MOST_FIELDS {
            return Err(Violation::TooManyFields(MOST_FIELDS));
        }
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return Err(Violation::Folded);
        }
        let colon = line.iter().position(|&byte| byte == b':').ok_or(Violation::FieldName)?;
        let (name, value) = (&line[..colon], without_blanks(&line[colon + 1..]));
        if name.ends_with(b" ") || name.ends_with(b"\t") {
            return Err(Violation::SpaceBeforeColon(FieldName::new(without_blanks(name))));
        }
        if !is_token(name) {
            return Err(Violation::FieldName);
        }
        if has_controls(value) {
            return Err(Violation::FieldValue(FieldName::new(name)));
        }
        self.framing_field(name, value)
    }

    fn framing_field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Violation> {
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.content_length.is_some() {
                return Err(Violation::Twice("content-length"));
            }
            self.content_length = Some(decimal(value).ok_or(Violation::ContentLength)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked {
                return Err(Violation::Twice("transfer-encoding"));
            }
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Violation::TransferEncoding);
            }
            self.chunked = true;
        }
        Ok(())
    }
}

fn request_line(line: &[u8]) -> Result<Version, Violation> {
    if line.len() > LONGEST_REQUEST_LINE {
        return Err(Violation::RequestLineTooLong(LONGEST_REQUEST_LINE));
    }
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Violation::RequestLine);
    };
    if !is_token(method) {
        return Err(Violation::Method);
    }
    if !is_target(method, target) {
        return Err(Violation::Target);
    }
    match version {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        other if other.starts_with(b"HTTP/") => Err(Violation::Version),
        _ => Err(Violation::RequestLine),
    }
}

/// `http::Uri` drops a fragment without a word and takes bytes beyond ASCII, hence the checks before it.
fn is_target(method: &[u8], target: &[u8]) -> bool {
    let plain = target.iter().all(|&byte| byte.is_ascii_graphic() && byte != b'#');
    let form = match target {
        [b'/', ..] => true,
        b"*" => method == b"OPTIONS",
        absolute => absolute.starts_with(b"http://") || absolute.starts_with(b"https://"),
    };
    plain && form && Uri::try_from(target).is_ok()
}

/// Without the spaces and tabs around it; other white space is not allowed there.
fn without_blanks(text: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().take_while(|byte| is_blank(byte)).count();
    let end = text[start..].iter().rev().take_while(|byte| is_blank(byte)).count();
    &text[start..text.len() - end]
}

/// Control characters but for the tab. Looking at all of them, found or not, is what the processor does many of at once.
fn has_controls(value: &[u8]) -> bool {
    value.iter().fold(false, |found, &byte| found | (byte.is_ascii_control() & (byte != b'\t')))
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| IN_TOKENS[usize::from(byte)])
}

/// Whether a byte may stand in a token. Every byte of every header's name is looked up.
const IN_TOKENS: [bool; 256] = {
    let (mut bytes, mut at) = ([false; 256], 0);
    while at < bytes.len() {
        bytes[at] = (at as u8).is_ascii_alphanumeric();
        at += 1;
    }
    let (others, mut at) = (b"!#$%&'*+-.^_`|~", 0);
    while at < others.len() {
        bytes[others[at] as usize] = true;
        at += 1;
    }
    bytes
};

/// Digits and nothing else: a sign, a space or a list means different numbers to different readers.
fn decimal(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text).ok()?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // hyper keeps the two highest numbers for itself.
    if plain { digits.parse().ok().filter(|length| *length <= u64::MAX / 2) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> Result<Option<Following>, Violation> {
        let mut reader = Head::default();
        let lines = head.strip_suffix("\r\n").unwrap().split("\r\n");
        lines.map(|line| reader.read(line.as_bytes())).find(|read| *read != Ok(None)).unwrap_or(Ok(None))
    }

    #[test]
    fn a_head_tells_what_follows_it() {
        let heads = [
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", Following::Body(0)),
            ("POST http://a/b HTTP/1.1\r\nContent-Length:  17 \r\n\r\n", Following::Body(17)),
            ("POST / HTTP/1.1\r\nTRANSFER-ENCODING: Chunked\r\n\r\n", Following::LastBody),
            ("OPTIONS * HTTP/1.0\r\ncontent-length: 3\r\n\r\n", Following::LastBody),
        ];
        for (head, following) in heads {
            assert_eq!(read(head), Ok(Some(following)), "{head:?}");
        }
        assert_eq!(read("GET / HTTP/1.1\r\nhost: a\r\n"), Ok(None));
    }

    #[test]
    fn a_request_line_is_three_words() {
        let lines = [
            ("GET /", Violation::RequestLine),
            ("GET  / HTTP/1.1", Violation::RequestLine),
            ("GET / HTTP/1.1 ", Violation::RequestLine),
            ("GET / http/1.1", Violation::RequestLine),
            (" / HTTP/1.1", Violation::Method),
            ("G(T / HTTP/1.1", Violation::Method),
            ("GET a HTTP/1.1", Violation::Target),
            ("GET * HTTP/1.1", Violation::Target),
            ("GET /a#b HTTP/1.1", Violation::Target),
            ("GET /\u{e4} HTTP/1.1", Violation::Target),
            ("GET /a\tb HTTP/1.1", Violation::Target),
            ("GET ftp://a/ HTTP/1.1", Violation::Target),
            ("CONNECT a:80 HTTP/1.1", Violation::Target),
            ("GET / HTTP/1.2", Violation::Version),
            ("PRI * HTTP/2.0", Violation::Target),
            ("GET / HTTP/2.0", Violation::Version),
        ];
        for (line, violation) in lines {
            assert_eq!(read(&format!("{line}\r\n")), Err(violation), "{line:?}");
        }
    }

    #[test]
    fn a_field_is_a_token_a_colon_and_a_value_without_control_characters() {
        let fields = [
            ("no colon", Violation::FieldName),
            (": empty", Violation::FieldName),
            ("a b: c", Violation::FieldName),
            ("a\0: c", Violation::FieldName),
            ("Name : c", Violation::SpaceBeforeColon(FieldName::new(b"name"))),
            (" name: c", Violation::Folded),
            ("\tname", Violation::Folded),
            ("Name: c\0d", Violation::FieldValue(FieldName::new(b"name"))),
            ("Name: c\rd", Violation::FieldValue(FieldName::new(b"name"))),
            ("Name: c\r", Violation::FieldValue(FieldName::new(b"name"))),
            ("Name: c\x7fd", Violation::FieldValue(FieldName::new(b"name"))),
        ];
        for (field, violation) in fields {
            assert_eq!(read(&format!("GET / HTTP/1.1\r\n{field}\r\n")), Err(violation), "{field:?}");
        }
        assert_eq!(read("GET / HTTP/1.1\r\nname: a\tb \u{e4}\r\n\r\n"), Ok(Some(Following::Body(0))));
    }

    #[test]
    fn a_body_has_one_length() {
        let fields = [
            ("content-length: 1\r\ncontent-length: 1", Violation::Twice("content-length")),
            ("content-length: 1, 1", Violation::ContentLength),
            ("content-length: +1", Violation::ContentLength),
            ("content-length: 0x1", Violation::ContentLength),
            ("content-length:", Violation::ContentLength),
            ("content-length: 18446744073709551616", Violation::ContentLength),
            ("content-length: 1\r\ntransfer-encoding: chunked", Violation::TwoLengths),
            ("transfer-encoding: chunked\r\ncontent-length: 1", Violation::TwoLengths),
            (
                "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
                Violation::Twice("transfer-encoding"),
            ),
            ("transfer-encoding: gzip, chunked", Violation::TransferEncoding),
            ("transfer-encoding: chunked, identity", Violation::TransferEncoding),
            ("transfer-encoding: xchunked", Violation::TransferEncoding),
            ("transfer-encoding:", Violation::TransferEncoding),
        ];
        for (field, violation) in fields {
            assert_eq!(read(&format!("POST / HTTP/1.1\r\n{field}\r\n\r\n")), Err(violation), "{field:?}");
        }
        let old = read("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n");
        assert_eq!(old, Err(Violation::TransferEncodingBeforeItsTime));
    }

    #[test]
    fn there_are_only_so_many_fields() {
        let head = |fields| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(fields));
        assert_eq!(read(&head(MOST_FIELDS)), Ok(Some(Following::Body(0))));
        assert_eq!(read(&head(MOST_FIELDS + 1)), Err(Violation::TooManyFields(MOST_FIELDS)));
    }

    #[test]
    fn the_name_of_an_offending_field_is_shown_cut_short_and_visible() {
        let name = [b"\x1b\"".as_slice(), &[b'A'; 100]].concat();
        let shown = FieldName::new(&name).to_string();
        assert_eq!(shown, format!("\\x1b\\\"{}", "a".repeat(62)));
    }
}
