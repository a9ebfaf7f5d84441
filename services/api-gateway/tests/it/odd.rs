//! A service that says whatever a test wants, be it HTTP or not.

use discovery::{Endpoint, Registration};
use runtime::Io;
use service_auth::Alpn;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use types::ServiceName;

use crate::town::Town;

/// The routes that lead to it, beside those that the towns need.
pub(crate) const ROUTES: (&str, &str) =
    ("ROUTES", "/odd public odd-service, /auth public auth-service, /users user user-service");

const ODD: ServiceName = ServiceName::new("odd-service");

/// What it does after it has spoken.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    Leaves,
    Stays,
}

/// Answers the head of every request with `says`, for as long as it is registered.
pub(crate) async fn open(town: &Town, says: &'static str, then: Then) -> Registration {
    let mut listener = town.env.net.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let identity = town.site.identity(&ODD);
    town.env.tasks.spawn("odd service", async move {
        loop {
            let (io, _) = listener.accept().await.unwrap();
            // Whoever asks for its health wants another protocol.
            if let Ok(secured) = identity.accept(io, Alpn::Http1).await {
                answer(secured.io, says, then).await;
            }
        }
    });
    town.site.discovery.register(&ODD, Endpoint { http: addr, grpc: addr })
}

async fn answer(mut io: Io, says: &str, then: Then) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.unwrap());
    }
    io.write_all(says.as_bytes()).await.unwrap();
    match then {
        Then::Leaves => io.shutdown().await.unwrap(),
        // Until it is left.
        Then::Stays => drop(io.read_u8().await),
    }
}
