use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;

use hyper_util::rt::TokioIo;
use runtime::Env;
use service_auth::{Alpn, Identity, SpiffeId};
use tonic::transport::{Channel, Endpoint};
use types::ServiceName;

/// Connects to the user service at `addr` with the certificate in `directory`, over mTLS: the service sees that
/// the operator calls, and nobody else can pass for the service.
pub(crate) async fn connect(
    env: &Env,
    directory: &Path,
    addr: SocketAddr,
) -> Result<Channel, Box<dyn Error + Send + Sync>> {
    let [cert, key, ca] = ["cert.pem", "key.pem", "ca.pem"].map(|file| directory.join(file));
    let operator = Identity::load(&cert, &key, &ca, &env.clock)?;
    let service = SpiffeId::service(&operator.id().trust_domain(), &ServiceName::new("user-service"));
    let net = env.net.clone();
    let secured = tower::service_fn(move |_| {
        let (net, operator, service) = (net.clone(), operator.clone(), service.clone());
        async move {
            let io = net.dial(&addr.to_string()).await?;
            let secured = operator.connect(io, &service, Alpn::H2).await?;
            Ok::<_, Box<dyn Error + Send + Sync>>(TokioIo::new(secured.io))
        }
    });
    // The name stands in the requests alone; it is the SPIFFE id that the service is known by.
    Ok(Endpoint::from_static("https://user-service").connect_with_connector(secured).await?)
}
