//! Which client a request comes from, when proxies stand before the gateway.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address.
    pub(crate) address: IpAddr,
    /// Whether it runs on the gateway's own machine, and nothing that is a proxy stands between.
    pub(crate) is_local: bool,
}

/// The proxies before the gateway whose word about a client's address counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<Network>);

/// A part of the list that is no address or network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} must be {right}", right = Proxies::RIGHT)]
pub struct WrongProxy(
    /// The part.
    pub String,
);

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    first: IpAddr,
    bits: u32,
}

impl Proxies {
    /// What the list must be.
    pub const RIGHT: &str = "an IP address or a network such as 10.0.0.0/8";

    /// The client of a request that came over a connection from `connected`: each proxy adds whom it serves at the
    /// end, so that the last who is no proxy of ours is the client. What stands before that, the client wrote.
    pub(crate) fn client(&self, connected: SocketAddr, headers: &HeaderMap) -> Client {
        let neighbour = connected.ip().to_canonical();
        if self.contains(neighbour) {
            return Client { address: self.served_by(neighbour, headers), is_local: false };
        }
        // Something on this machine that speaks for others, and that nobody has named.
        let is_for_others = headers.contains_key(FORWARDED_FOR);
        Client { address: neighbour, is_local: neighbour.is_loopback() && !is_for_others }
    }

    fn served_by(&self, proxy: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = proxy;
        let told = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .rev()
            .flat_map(|value| value.as_bytes().rsplit(|&byte| byte == b','));
        for address in told {
            // From here on nobody knows: it is from the proxy that let it through.
            let Some(address) = read_address(address) else { return client };
            client = address;
            if !self.contains(client) {
                return client;
            }
        }
        client
    }

    /// Whether nobody is one.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

fn read_address(text: &[u8]) -> Option<IpAddr> {
    let address: IpAddr = str::from_utf8(text.trim_ascii()).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                (first.to_bits() ^ address.to_bits()).leading_zeros() >= self.bits
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                (first.to_bits() ^ address.to_bits()).leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = WrongProxy;

    fn from_str(text: &str) -> Result<Self, WrongProxy> {
        let wrong = || WrongProxy(text.to_owned());
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let first: IpAddr = address.parse().map_err(|_no_address| wrong())?;
        // Clients are told apart by the address that theirs stands for.
        if first != first.to_canonical() {
            return Err(wrong());
        }
        let most = if first.is_ipv4() { u32::BITS } else { u128::BITS };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(wrong)?,
            None => most,
        };
        Ok(Self { first, bits })
    }
}

impl Proxies {
    /// A list with commas between its parts.
    ///
    /// # Errors
    /// Every part that is wrong.
    pub fn parse(text: &str) -> Result<Self, Vec<WrongProxy>> {
        let (mut networks, mut wrong) = (Vec::new(), Vec::new());
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.parse() {
                Ok(network) => networks.push(network),
                Err(error) => wrong.push(error),
            }
        }
        if wrong.is_empty() { Ok(Self(networks)) } else { Err(wrong) }
    }
}

/// The address as it is told to a service.
pub(crate) fn header(client: IpAddr) -> HeaderValue {
    /// `ffff:` seven times and `ffff`.
    const LONGEST: usize = 39;
    let mut text = Text { bytes: [0; LONGEST], length: 0 };
    fmt::write(&mut text, format_args!("{client}")).expect("no canonical address is longer");
    HeaderValue::from_bytes(&text.bytes[..text.length]).expect("digits, dots and colons are a header value")
}

struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &str, connected: &str, told: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in told {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        let connected = SocketAddr::new(connected.parse().unwrap(), 40_000);
        let client = Proxies::parse(proxies).unwrap().client(connected, &headers);
        header(client.address).to_str().unwrap().to_owned()
    }

    #[test]
    fn without_proxies_the_client_is_the_other_end_of_the_connection() {
        assert_eq!(client("", "192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(client("10.0.0.0/8", "192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(client("", "::ffff:192.0.2.1", &[]), "192.0.2.1");
        let longest = "2001:db8:1111:2222:3333:4444:5555:6666";
        assert_eq!(client("", longest, &[]), longest);
    }

    #[test]
    fn a_proxy_is_believed_about_whom_it_serves_and_a_client_about_nobody() {
        let proxies = "10.0.0.0/8, 192.0.2.7, 2001:db8::/32";
        let cases: [(&str, &[&str], &str); 10] = [
            ("10.1.2.3", &["203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.1.2.3", &["203.0.113.9"], "203.0.113.9"),
            ("192.0.2.7", &["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
            ("10.1.2.3", &["198.51.100.1", "203.0.113.9 , 10.0.0.1"], "203.0.113.9"),
            ("2001:db8::1", &["2001:db9::1"], "2001:db9::1"),
            ("10.1.2.3", &["::ffff:203.0.113.9"], "203.0.113.9"),
            ("10.1.2.3", &[], "10.1.2.3"),
            ("10.1.2.3", &["unknown"], "10.1.2.3"),
            ("10.1.2.3", &["203.0.113.9:80, 10.0.0.1"], "10.0.0.1"),
            ("192.0.2.8", &["203.0.113.9"], "192.0.2.8"),
        ];
        for (connected, told, expected) in cases {
            assert_eq!(client(proxies, connected, told), expected, "{connected} {told:?}");
        }
    }

    #[test]
    fn only_what_runs_here_and_speaks_for_itself_is_local() {
        let is_local = |proxies: &str, connected: &str, told: Option<&str>| {
            let told = told.map(|told| (FORWARDED_FOR, told.parse().unwrap()));
            let connected = SocketAddr::new(connected.parse().unwrap(), 40_000);
            Proxies::parse(proxies).unwrap().client(connected, &HeaderMap::from_iter(told)).is_local
        };
        assert!(is_local("", "127.0.0.1", None) && is_local("10.0.0.0/8", "::1", None));
        assert!(!is_local("", "192.0.2.1", None));
        assert!(!is_local("", "127.0.0.1", Some("203.0.113.9")), "an unnamed proxy");
        assert!(!is_local("127.0.0.1", "127.0.0.1", None), "a proxy that does not say for whom");
        assert!(!is_local("10.0.0.0/8", "10.1.2.3", Some("127.0.0.1")), "what runs on another machine");
    }

    #[test]
    fn every_part_that_is_no_network_is_told() {
        let wrong = Proxies::parse(
            "10.0.0.1, 10.0.0.0/33, ::/129, nginx, 10.0.0.1/a, ::1/128, ::ffff:10.0.0.7, 0.0.0.0/0",
        );
        let wrong: Vec<_> = wrong.unwrap_err().into_iter().map(|WrongProxy(part)| part).collect();
        assert_eq!(wrong, ["10.0.0.0/33", "::/129", "nginx", "10.0.0.1/a", "::ffff:10.0.0.7"]);
    }
}
