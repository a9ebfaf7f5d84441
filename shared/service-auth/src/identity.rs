mod error;
pub(crate) mod material;
mod verifier;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use runtime::{Clock, Io};
use rustls::pki_types::{CertificateDer, IpAddr, Ipv4Addr, ServerName};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use types::Timestamp;

use self::material::{Material, Source};
use crate::{Pem, SpiffeId, TlsError, svid};

pub use self::error::IdentityError;

/// Who this process is to others: its certificate and key, and the roots it trusts. Clones share one
/// identity, so that a replacement reaches every listener and client at once; connections that are open
/// keep what they were made with.
#[derive(Clone)]
pub struct Identity {
    clock: Clock,
    current: Arc<ArcSwap<Material>>,
}

/// What is offered for the connection's application protocol (ALPN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/2 alone, as gRPC needs it.
    H2,
    /// HTTP/2, or HTTP/1.1 where the peer knows nothing else.
    H2OrHttp1,
    /// HTTP/1.1 alone, for a caller that wants a connection for each request.
    Http1,
}

/// The application protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2.
    H2,
    /// HTTP/1.1.
    Http1,
}

/// A connection both ends of which are known.
pub struct Secured {
    /// The connection.
    pub io: Io,
    /// Who is at the other end.
    pub peer: SpiffeId,
    /// What is spoken.
    pub protocol: Protocol,
}

impl Identity {
    /// From PEM text; `roots` are the certificates of the authorities to trust.
    ///
    /// # Errors
    /// [`IdentityError`], which says what is wrong with which part.
    pub fn from_pem(pem: &Pem, roots: &str, clock: &Clock) -> Result<Self, IdentityError> {
        Self::new(&Source::text(pem, roots), clock)
    }

    /// From PEM files, such as a secret that is mounted into the container.
    ///
    /// # Errors
    /// [`IdentityError`], which says what is wrong with which file.
    pub fn load(chain: &Path, key: &Path, roots: &Path, clock: &Clock) -> Result<Self, IdentityError> {
        Self::new(&Source::files(chain, key, roots)?, clock)
    }

    fn new(source: &Source, clock: &Clock) -> Result<Self, IdentityError> {
        let material = Material::new(source, clock)?;
        Ok(Self { clock: clock.clone(), current: Arc::new(ArcSwap::from_pointee(material)) })
    }

    /// Takes a new certificate, key and roots of the same workload for all connections from now on. What is
    /// in use stays when they are not sound.
    ///
    /// # Errors
    /// [`IdentityError`], which says what is wrong.
    pub fn replace(&self, pem: &Pem, roots: &str) -> Result<(), IdentityError> {
        self.replace_with(&Source::text(pem, roots))
    }

    /// As [`Identity::replace`], from files.
    ///
    /// # Errors
    /// [`IdentityError`], which says what is wrong with which file.
    pub fn reload(&self, chain: &Path, key: &Path, roots: &Path) -> Result<(), IdentityError> {
        self.replace_with(&Source::files(chain, key, roots)?)
    }

    fn replace_with(&self, source: &Source) -> Result<(), IdentityError> {
        let material = Material::new(source, &self.clock)?;
        let (mine, other) = (self.id(), &material.id);
        if mine != *other {
            return Err(IdentityError::OtherWorkload { mine, other: other.clone() });
        }
        self.current.store(Arc::new(material));
        Ok(())
    }

    /// Whose identity it is.
    pub fn id(&self) -> SpiffeId {
        self.current.load().id.clone()
    }

    /// When the certificate ends; it should be replaced well before.
    pub fn expires_at(&self) -> Timestamp {
        self.current.load().expires_at
    }

    /// The server's end of a handshake over `io`. Without a certificate that leads to our roots and names a
    /// workload of our trust domain there is no connection. The caller bounds the time.
    ///
    /// # Errors
    /// [`TlsError`]: why there is no connection.
    pub async fn accept(&self, io: Io, alpn: Alpn) -> Result<Secured, TlsError> {
        let config = self.current.load().server(alpn);
        let stream = TlsAcceptor::from(config).accept(io).await.map_err(TlsError::from_io)?;
        let (_, connection) = stream.get_ref();
        let (peer, protocol) = agreed(connection, alpn)?;
        Ok(Secured { io: Box::new(stream), peer, protocol })
    }

    /// The client's end of a handshake over `io` with the workload `expected`, and nobody else. Whether the
    /// server took our certificate shows at the first read, as TLS 1.3 has it. The caller bounds the time.
    ///
    /// # Errors
    /// [`TlsError`]: why there is no connection.
    pub async fn connect(&self, io: Io, expected: &SpiffeId, alpn: Alpn) -> Result<Secured, TlsError> {
        // The server is known by the id in its certificate; an address has no SNI and is sent to nobody.
        let no_name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0, 0, 0, 0])));
        let config = self.current.load().client(expected, alpn);
        let stream = TlsConnector::from(config).connect(no_name, io).await.map_err(TlsError::from_io)?;
        let (_, connection) = stream.get_ref();
        let (peer, protocol) = agreed(connection, alpn)?;
        Ok(Secured { io: Box::new(stream), peer, protocol })
    }
}

/// Who is at the other end and what is spoken, once the handshake is done.
fn agreed(connection: &rustls::CommonState, alpn: Alpn) -> Result<(SpiffeId, Protocol), TlsError> {
    let leaf = connection.peer_certificates().and_then(<[CertificateDer<'_>]>::first);
    let leaf = leaf.ok_or(TlsError::NoCertificate)?;
    let peer = svid::workload_of_any(leaf).map_err(TlsError::Identity)?;
    let protocol = match (connection.alpn_protocol(), alpn) {
        (Some(b"h2"), _) => Protocol::H2,
        // A client of HTTP/1.1 need not know about ALPN; HTTP/2 over TLS is never without (RFC 9113, 3.2).
        (Some(b"http/1.1") | None, Alpn::H2OrHttp1 | Alpn::Http1) => Protocol::Http1,
        _ => return Err(TlsError::NoProtocol),
    };
    Ok((peer, protocol))
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured")
            .field("peer", &self.peer)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}
