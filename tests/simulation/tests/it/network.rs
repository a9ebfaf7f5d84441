//! The platform's sockets work between simulated hosts.

use std::io;
use std::time::Duration;

use runtime::Net;
use simulation::net::{SimulatedNetwork, Traffic};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use turmoil::Builder;

fn net(host: &'static str, traffic: &Traffic) -> Net {
    Net::over(SimulatedNetwork::of(host, traffic))
}

#[test]
fn a_host_is_dialled_by_its_name_and_hears_what_is_said_which_is_counted() {
    let mut sim = Builder::new().rng_seed(1).build();
    let traffic = Traffic::default();
    let server = net("server", &traffic);
    sim.host("server", move || {
        let net = server.clone();
        async move {
            let mut listener = net.bind("127.0.0.1:80".parse()?).await?;
            assert_eq!(listener.local_addr()?.port(), 80);
            let (mut io, _) = listener.accept().await?;
            let mut heard = [0; 5];
            io.read_exact(&mut heard).await?;
            io.write_all(&heard).await?;
            Ok(())
        }
    });
    let client = net("client", &traffic);
    sim.client("client", async move {
        let mut io = client.dial("server:80").await?;
        io.write_all(b"hello").await?;
        let mut echoed = [0; 5];
        io.read_exact(&mut echoed).await?;
        assert_eq!(&echoed, b"hello");
        Ok(())
    });
    sim.run().unwrap();
    // To connect, and to speak.
    assert_eq!(traffic.sent("client", "server"), 2);
    assert_eq!(traffic.sent("server", "client"), 1);
}

#[test]
fn a_port_that_is_taken_or_has_no_listener_is_refused() {
    let mut sim = Builder::new().rng_seed(1).build();
    sim.host("server", || async { std::future::pending().await });
    sim.client("client", async {
        let net = net("client", &Traffic::default());
        let address = "0.0.0.0:80".parse()?;
        let _held = net.bind(address).await?;
        let again = net.bind(address).await;
        assert_eq!(again.err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
        let nobody = tokio::time::timeout(Duration::from_secs(1), net.dial("server:80")).await?;
        assert_eq!(nobody.err().map(|error| error.kind()), Some(io::ErrorKind::ConnectionRefused));
        Ok(())
    });
    sim.run().unwrap();
}
