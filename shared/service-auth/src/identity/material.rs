use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use runtime::Clock;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem};
use rustls::server::NoServerSessionStorage;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use secrecy::{ExposeSecret as _, SecretString};
use types::Timestamp;

use super::verifier::{Callee, Callers, Trust};
use super::{Alpn, IdentityError};
use crate::{Pem, SpiffeId, SvidError, TrustDomain, svid};

/// The texts an identity is made of, each with the place it came from.
pub(super) struct Source {
    chain: (String, String),
    key: (String, SecretString),
    roots: (String, String),
}

impl Source {
    pub(super) fn text(pem: &Pem, roots: &str) -> Self {
        Self {
            chain: ("the chain".to_owned(), pem.chain.clone()),
            key: ("the key".to_owned(), pem.key.clone()),
            roots: ("the roots".to_owned(), roots.to_owned()),
        }
    }

    pub(super) fn files(chain: &Path, key: &Path, roots: &Path) -> Result<Self, IdentityError> {
        let place = |path: &Path| path.display().to_string();
        Ok(Self {
            chain: (place(chain), read(chain)?),
            key: (place(key), read(key)?.into()),
            roots: (place(roots), read(roots)?),
        })
    }
}

pub(crate) fn read(path: &Path) -> Result<String, IdentityError> {
    fs::read_to_string(path).map_err(|source| IdentityError::Read { path: path.to_owned(), source })
}

/// Everything that is made of one certificate, key and set of roots.
pub(super) struct Material {
    pub(super) id: SpiffeId,
    pub(super) expires_at: Timestamp,
    trust: Trust,
    server: Arc<ServerConfig>,
    h2_server: Arc<ServerConfig>,
    http1_server: Arc<ServerConfig>,
    client: ClientConfig,
}

impl Material {
    pub(super) fn new(source: &Source, clock: &Clock) -> Result<Self, IdentityError> {
        let chain = certificates(&source.chain)?;
        let key = private_key(&source.key)?;
        let own_rule = |rule| IdentityError::Svid { place: source.chain.0.clone(), rule };
        let id = svid::workload_of_any(&chain[0]).map_err(own_rule)?;
        let (_, expires_at) = svid::validity(&chain[0]).map_err(own_rule)?;
        let trust_domain = id.trust_domain();
        let roots = Arc::new(roots(&source.roots, &trust_domain)?);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let trust = Trust { trust_domain, roots, algorithms };
        let time: Arc<dyn TimeProvider> = Arc::new(WallTime(clock.clone()));

        let untrusted = |error| IdentityError::Untrusted {
            chain: source.chain.0.clone(),
            roots: source.roots.0.clone(),
            source: error,
        };
        trust.server(&chain[0], &chain[1..], unix_time(clock)).map_err(untrusted)?;

        let unusable = |error| IdentityError::Key {
            key: source.key.0.clone(),
            chain: source.chain.0.clone(),
            source: error,
        };
        let server = server(&trust, &provider, &time, chain.clone(), key.clone_key()).map_err(unusable)?;
        let client = client(&trust, &id, &provider, &time, chain, key).map_err(unusable)?;
        let offering = |alpn| {
            let mut server = server.clone();
            server.alpn_protocols = protocols(alpn);
            Arc::new(server)
        };
        Ok(Self {
            id,
            expires_at,
            trust,
            server: offering(Alpn::H2OrHttp1),
            h2_server: offering(Alpn::H2),
            http1_server: offering(Alpn::Http1),
            client,
        })
    }

    pub(super) fn server(&self, alpn: Alpn) -> Arc<ServerConfig> {
        Arc::clone(match alpn {
            Alpn::H2 => &self.h2_server,
            Alpn::H2OrHttp1 => &self.server,
            Alpn::Http1 => &self.http1_server,
        })
    }

    /// Made for each connection, since it names the one workload that may answer. It costs a few counts of
    /// references.
    pub(super) fn client(&self, expected: &SpiffeId, alpn: Alpn) -> Arc<ClientConfig> {
        let mut config = self.client.clone();
        config.alpn_protocols = protocols(alpn);
        let callee = Callee { trust: self.trust.clone(), expected: expected.clone() };
        config.dangerous().set_certificate_verifier(Arc::new(callee));
        Arc::new(config)
    }
}

pub(crate) fn protocols(alpn: Alpn) -> Vec<Vec<u8>> {
    match alpn {
        Alpn::H2 => vec![b"h2".to_vec()],
        Alpn::H2OrHttp1 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Alpn::Http1 => vec![b"http/1.1".to_vec()],
    }
}

/// Sessions are never resumed: every connection shows its certificates and has them checked anew, against
/// the roots and the time of now. Connections live long, so a handshake more is cheap.
fn server(
    trust: &Trust,
    provider: &Arc<CryptoProvider>,
    time: &Arc<dyn TimeProvider>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let callers = Callers::new(trust.clone(), provider);
    let callers = callers.expect("there is at least one root and no revocation list");
    let mut config = ServerConfig::builder_with_details(Arc::clone(provider), Arc::clone(time))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(callers))
        .with_single_cert(chain, key)?;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

fn client(
    trust: &Trust,
    own: &SpiffeId,
    provider: &Arc<CryptoProvider>,
    time: &Arc<dyn TimeProvider>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, rustls::Error> {
    // A stand-in until a connection says whom it calls: it lets this process speak to itself alone.
    let callee = Callee { trust: trust.clone(), expected: own.clone() };
    let mut config = ClientConfig::builder_with_details(Arc::clone(provider), Arc::clone(time))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(callee))
        .with_client_auth_cert(chain, key)?;
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

pub(crate) fn certificates(
    (place, text): &(String, String),
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let certificates = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    let certificates =
        certificates.map_err(|source| IdentityError::BrokenPem { place: place.clone(), source })?;
    if certificates.is_empty() {
        return Err(IdentityError::NoCertificate { place: place.clone() });
    }
    Ok(certificates)
}

pub(crate) fn private_key(
    (place, text): &(String, SecretString),
) -> Result<PrivateKeyDer<'static>, IdentityError> {
    PrivateKeyDer::from_pem_slice(text.expose_secret().as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound => IdentityError::NoKey { place: place.clone() },
        source => IdentityError::BrokenPem { place: place.clone(), source },
    })
}

fn roots(source: &(String, String), trust_domain: &TrustDomain) -> Result<RootCertStore, IdentityError> {
    let broken = |rule| IdentityError::Svid { place: source.0.clone(), rule };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(source)? {
        svid::authority(&certificate, trust_domain).map_err(broken)?;
        roots.add(certificate).or(Err(broken(SvidError::Unreadable)))?;
    }
    Ok(roots)
}

/// Our clock for rustls, which would otherwise ask the machine.
pub(crate) struct WallTime(pub(crate) Clock);

impl TimeProvider for WallTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(&self.0))
    }
}

fn unix_time(clock: &Clock) -> UnixTime {
    UnixTime::since_unix_epoch(clock.now().since(Timestamp::default()))
}

impl fmt::Debug for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
