//! A question and its answer on the wire (RFC 1035, section 4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Which addresses are asked for: the types of RFC 1035 and RFC 3596.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4 = 1,
    V6 = 28,
}

const CNAME: u16 = 5;
const SOA: u16 = 6;
const INTERNET: u16 = 1;
const HEADER: usize = 12;
/// The flags of a question that a resolver may answer for others.
const RECURSION_DESIRED: u16 = 0x0100;
const IS_ANSWER: u16 = 0x8000;
/// The server has the name itself.
const IS_AUTHORITY: u16 = 0x0400;
const IS_CUT: u16 = 0x0200;
/// The server asks others for what it has not.
const RECURSION_AVAILABLE: u16 = 0x0080;
const CODE: u16 = 0x000f;
const NO_ERROR: u16 = 0;
const NO_SUCH_NAME: u16 = 3;

/// What the name's addresses are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) addresses: Vec<IpAddr>,
    /// How long that holds: the shortest lifetime of what led to it.
    pub(super) lifetime: Duration,
    /// Without an address, the server did not say that there is none: it only knows whom else to ask, or which other
    /// name this one stands for.
    pub(super) leads_on: bool,
}

/// Why an answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("the answer cannot be read")]
    Unreadable,
    #[error("the answer is to another question")]
    OfAnother,
    #[error("the answer is cut off")]
    Cut,
    #[error("the server answered with code {0}")]
    Code(u16),
}

/// The question for the addresses of `host`, a name of valid labels.
pub(super) fn question(id: u16, host: &str, family: Family) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + host.len() + 6);
    for number in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
        bytes.extend(number.to_be_bytes());
    }
    for label in host.split('.') {
        bytes.push(u8::try_from(label.len()).expect("a label has at most 63 bytes"));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend((family as u16).to_be_bytes());
    bytes.extend(INTERNET.to_be_bytes());
    bytes
}

/// What `bytes` answer to the question `id`. A name that does not exist has no addresses.
pub(super) fn answer(id: u16, family: Family, bytes: &[u8]) -> Result<Answer, AnswerError> {
    let mut reader = Reader { bytes, at: 0 };
    let (told, flags) = (reader.number()?, reader.number()?);
    if told != id || flags & IS_ANSWER == 0 {
        return Err(AnswerError::OfAnother);
    }
    if flags & IS_CUT != 0 {
        return Err(AnswerError::Cut);
    }
    match flags & CODE {
        NO_ERROR => {}
        NO_SUCH_NAME => return Ok(Answer::default()),
        code => return Err(AnswerError::Code(code)),
    }
    let (questions, records, others) = (reader.number()?, reader.number()?, reader.number()?);
    reader.skip(2)?;
    for _ in 0..questions {
        reader.name()?;
        reader.skip(4)?;
    }
    let (mut addresses, mut lifetime, mut is_alias) = (Vec::new(), None::<u32>, false);
    for _ in 0..records {
        let (kind, seconds, data) = reader.record()?;
        if kind == family as u16 {
            addresses.push(address(family, data)?);
        } else if kind == CNAME {
            is_alias = true;
        } else {
            continue;
        }
        lifetime = Some(lifetime.map_or(seconds, |shortest| shortest.min(seconds)));
    }
    let knows = flags & (IS_AUTHORITY | RECURSION_AVAILABLE) != 0;
    let leads_on = addresses.is_empty() && (is_alias || !knows) && !reader.has_soa(others)?;
    Ok(Answer { addresses, lifetime: Duration::from_secs(lifetime.unwrap_or_default().into()), leads_on })
}

fn address(family: Family, data: &[u8]) -> Result<IpAddr, AnswerError> {
    let address = match family {
        Family::V4 => <[u8; 4]>::try_from(data).map(|octets| Ipv4Addr::from(octets).into()),
        Family::V6 => <[u8; 16]>::try_from(data).map(|octets| Ipv6Addr::from(octets).into()),
    };
    address.map_err(|_other_length| AnswerError::Unreadable)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], AnswerError> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..count));
        self.at += count;
        taken.ok_or(AnswerError::Unreadable)
    }

    fn skip(&mut self, count: usize) -> Result<(), AnswerError> {
        self.take(count).map(drop)
    }

    fn number(&mut self) -> Result<u16, AnswerError> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Steps over a name: labels up to the root's, or up to a pointer to where the rest of it stands.
    fn name(&mut self) -> Result<(), AnswerError> {
        loop {
            match self.take(1)?[0] {
                0 => return Ok(()),
                length @ 1..0x40 => self.skip(length.into())?,
                0xc0.. => return self.skip(1),
                _ => return Err(AnswerError::Unreadable),
            }
        }
    }

    /// Whether one of the next `records` is the start of a zone, which an answer names that there is nothing more to know
    /// (RFC 2308, section 2).
    fn has_soa(&mut self, records: u16) -> Result<bool, AnswerError> {
        for _ in 0..records {
            if self.record()?.0 == SOA {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The type, lifetime in seconds and data of a record.
    fn record(&mut self) -> Result<(u16, u32, &'a [u8]), AnswerError> {
        self.name()?;
        let (kind, class) = (self.number()?, self.number()?);
        let (high, low) = (self.number()?, self.number()?);
        let length = self.number()?;
        let data = self.take(length.into())?;
        let seconds = u32::from(high) << 16 | u32::from(low);
        // A lifetime with the highest bit set counts as none (RFC 2181, section 8).
        let seconds = if seconds > i32::MAX.unsigned_abs() { 0 } else { seconds };
        Ok((if class == INTERNET { kind } else { 0 }, seconds, data))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A type, a lifetime in seconds and data.
    type Record<'a> = (u16, u32, &'a [u8]);

    /// An answer to the question 7 for the addresses of `users.internal`.
    fn told(flags: u16, records: &[Record<'_>]) -> Vec<u8> {
        let mut bytes = question(7, "users.internal", Family::V4);
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        bytes[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
        for (kind, seconds, data) in records {
            bytes.extend([0xc0, 12]);
            bytes.extend(kind.to_be_bytes());
            bytes.extend(INTERNET.to_be_bytes());
            bytes.extend(seconds.to_be_bytes());
            bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            bytes.extend(*data);
        }
        bytes
    }

    #[test]
    fn a_name_has_its_addresses_for_the_shortest_lifetime_on_the_way_to_them() {
        let alias = [1, b'b', 0xc0, 12];
        let records: [Record<'_>; 4] =
            [(CNAME, 9, &alias), (1, 30, &[10, 0, 0, 1]), (1, 20, &[10, 0, 0, 2]), (46, 1, &[0; 20])];
        let expected = Answer {
            addresses: vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()],
            lifetime: Duration::from_secs(9),
            leads_on: false,
        };
        assert_eq!(answer(7, Family::V4, &told(0x8180, &records)), Ok(expected));
    }

    #[test]
    fn a_name_that_does_not_exist_has_none_and_a_server_that_fails_is_no_answer() {
        let read = |flags| answer(7, Family::V4, &told(flags, &[]));
        assert_eq!(read(0x8183), Ok(Answer::default()));
        assert_eq!(read(0x8180), Ok(Answer::default()));
        assert_eq!(read(0x8182), Err(AnswerError::Code(2)));
        assert_eq!(read(0x0100), Err(AnswerError::OfAnother));
        assert_eq!(answer(8, Family::V4, &told(0x8180, &[])), Err(AnswerError::OfAnother));
    }

    #[test]
    fn an_answer_that_is_cut_off_or_holds_an_address_of_another_length_is_none() {
        assert_eq!(answer(7, Family::V4, &told(0x8380, &[(1, 1, &[10, 0, 0, 1])])), Err(AnswerError::Cut));
        for (family, data) in
            [(Family::V4, &[0; 16][..]), (Family::V4, &[10, 0]), (Family::V6, &[10, 0, 0, 1])]
        {
            let told = told(0x8180, &[(family as u16, 1, data)]);
            assert_eq!(answer(7, family, &told), Err(AnswerError::Unreadable));
        }
    }

    #[test]
    fn a_server_that_only_leads_on_does_not_say_that_there_is_no_address() {
        let leads_on = |flags: u16, answers: usize, others: &[Record<'_>]| {
            let alias: Record<'_> = (CNAME, 9, &[1, b'b', 0xc0, 12]);
            let mut told = told(flags, &[&[alias][..answers], others].concat());
            let others = u16::try_from(others.len()).unwrap();
            told[6..8].copy_from_slice(&u16::try_from(answers).unwrap().to_be_bytes());
            told[8..10].copy_from_slice(&others.to_be_bytes());
            answer(7, Family::V4, &told).unwrap().leads_on
        };
        let (soa, ns): (Record<'_>, Record<'_>) = ((SOA, 9, &[0; 22]), (2, 9, &[0]));
        assert!(leads_on(0x8180, 1, &[]), "an alias that was not followed");
        assert!(!leads_on(0x8180, 1, &[soa]), "an alias of a name without addresses");
        assert!(leads_on(0x8000, 0, &[ns]), "whom else to ask");
        assert!(!leads_on(0x8400, 0, &[soa]) && !leads_on(0x8180, 0, &[]));
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            length in any::<prop::sample::Index>(),
        ) {
            let mut bytes = told(0x8180, &[(1, 30, &[10, 0, 0, 1]), (28, 30, &[0; 16])]);
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(length.index(bytes.len() + 1));
            if let Ok(answer) = answer(7, Family::V4, &bytes) {
                prop_assert!(answer.addresses.len() <= bytes.len() / 4);
            }
        }
    }
}
