use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use runtime::{Clock, Io};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_rustls::TlsAcceptor;
use types::Timestamp;

use crate::identity::material::{WallTime, certificates, private_key, protocols, read};
use crate::{Alpn, IdentityError, Pem, Protocol, TlsError, svid};

/// The server's end of TLS with clients that show no certificate, such as browsers: they check ours by the public
/// authorities that they know. Clones share the certificate, so that a replacement reaches every listener at once.
#[derive(Clone)]
pub struct PublicTls {
    clock: Clock,
    current: Arc<ArcSwap<Certified>>,
}

struct Certified {
    chain: String,
    key: SecretString,
    expires_at: Timestamp,
    config: Arc<ServerConfig>,
}

impl PublicTls {
    /// From PEM text.
    ///
    /// # Errors
    /// [`IdentityError`], which says what is wrong with which part.
    pub fn from_pem(pem: &Pem, clock: &Clock) -> Result<Self, IdentityError> {
        let (chain, key) =
            (("the chain".to_owned(), pem.chain.clone()), ("the key".to_owned(), pem.key.clone()));
        Ok(Self::new(Certified::new(&chain, &key, clock)?, clock))
    }

    /// From PEM files.
    ///
    /// # Errors
    /// [`IdentityError`], which says what is wrong with which file.
    pub fn load(chain: &Path, key: &Path, clock: &Clock) -> Result<Self, IdentityError> {
        Ok(Self::new(Certified::load(chain, key, clock)?, clock))
    }

    fn new(certified: Certified, clock: &Clock) -> Self {
        Self { clock: clock.clone(), current: Arc::new(ArcSwap::from_pointee(certified)) }
    }

    /// Takes a new certificate and key for all connections from now on. What is in use stays when they are not
    /// sound, or the same: with it go the sessions that clients could resume.
    ///
    /// # Errors
    /// [`IdentityError`], which says what is wrong with which file.
    pub fn reload(&self, chain: &Path, key: &Path) -> Result<(), IdentityError> {
        let read = Certified::load(chain, key, &self.clock)?;
        if !self.current.load().is_same(&read) {
            self.current.store(Arc::new(read));
        }
        Ok(())
    }

    /// When the certificate ends.
    pub fn expires_at(&self) -> Timestamp {
        self.current.load().expires_at
    }

    /// The server's end of a handshake over `io`, and what is spoken. The caller bounds the time.
    ///
    /// # Errors
    /// [`TlsError`]: why there is no connection.
    pub async fn accept(&self, io: Io) -> Result<(Io, Protocol), TlsError> {
        let config = Arc::clone(&self.current.load().config);
        let stream = TlsAcceptor::from(config).accept(io).await.map_err(TlsError::from_io)?;
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::H2,
            _ => Protocol::Http1,
        };
        Ok((Box::new(stream), protocol))
    }
}

impl Certified {
    fn load(chain: &Path, key: &Path, clock: &Clock) -> Result<Self, IdentityError> {
        let place = |path: &Path| path.display().to_string();
        Self::new(&(place(chain), read(chain)?), &(place(key), read(key)?.into()), clock)
    }

    /// Sessions may be resumed: nothing that a client has shown would have to be checked again.
    fn new(
        chain: &(String, String),
        key: &(String, SecretString),
        clock: &Clock,
    ) -> Result<Self, IdentityError> {
        let (certificates, private_key) = (certificates(chain)?, private_key(key)?);
        let broken = |rule| IdentityError::Svid { place: chain.0.clone(), rule };
        let (from, until) = svid::validity(&certificates[0]).map_err(broken)?;
        if !(from..=until).contains(&clock.now()) {
            return Err(IdentityError::NotInDate { place: chain.0.clone(), from, until });
        }
        let unusable = |source| IdentityError::Key { key: key.0.clone(), chain: chain.0.clone(), source };
        let (provider, time) = (Arc::new(aws_lc_rs::default_provider()), Arc::new(WallTime(clock.clone())));
        let mut config = ServerConfig::builder_with_details(provider, time)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(certificates, private_key)
            .map_err(unusable)?;
        config.alpn_protocols = protocols(Alpn::H2OrHttp1);
        let (chain, key, config) = (chain.1.clone(), key.1.clone(), Arc::new(config));
        Ok(Self { chain, key, expires_at: until, config })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.chain == other.chain && self.key.expose_secret() == other.key.expose_secret()
    }
}

impl fmt::Debug for PublicTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicTls").field("expires_at", &self.expires_at()).finish_non_exhaustive()
    }
}
