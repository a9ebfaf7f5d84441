//! A way to a service on which its answers come late or drop by drop.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use runtime::{Env, Io};
use tokio::io::{self, AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// How answers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Straight,
    /// So much later than they were sent.
    Later(Duration),
    /// So many bytes per second on each connection.
    Drip(u32),
}

/// As many as a service lets in.
const MOST_CONNECTIONS: usize = 1_000;
/// What is on its way of one answer, in pieces: enough that only the pace slows it.
const MOST_PIECES: usize = 64;
const PIECE: usize = 16 * 1024;
/// From one drop to the next.
const DROP: Duration = Duration::from_millis(100);

/// Passes on what comes to a port of its own, which is told, until the process ends.
pub(crate) async fn before(env: &Env, service: u16, pace: watch::Receiver<Pace>) -> Result<u16> {
    let mut listener = env.net.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let port = listener.local_addr()?.port();
    let (env, places) = (env.clone(), Arc::new(Semaphore::new(MOST_CONNECTIONS)));
    let tasks = env.tasks.clone();
    tasks.spawn("proxy", async move {
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            let Ok((client, _)) = listener.accept().await else { return };
            let (env_of_it, pace) = (env.clone(), pace.clone());
            env.tasks.spawn("proxied", async move {
                // What goes wrong here both ends see.
                drop(pass(&env_of_it, client, service, pace).await);
                drop(place);
            });
        }
    });
    Ok(port)
}

/// Passes on all of a connection, until either end has gone.
async fn pass(env: &Env, client: Io, service: u16, pace: watch::Receiver<Pace>) -> Result<()> {
    let service = env.net.dial(&format!("127.0.0.1:{service}")).await?;
    let (mut from_client, to_client) = split(client);
    let (from_service, mut to_service) = split(service);
    let (pieces, due) = mpsc::channel(MOST_PIECES);
    tokio::select! {
        asked = io::copy(&mut from_client, &mut to_service) => { asked?; }
        heard = take(from_service, pieces, pace.clone()) => heard?,
        told = hand_on(due, to_client, pace) => told?,
    }
    Ok(())
}

/// A part of an answer, and when it is due.
type Piece = (Instant, Vec<u8>);

async fn take(
    mut service: ReadHalf<Io>,
    pieces: mpsc::Sender<Piece>,
    pace: watch::Receiver<Pace>,
) -> Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        let read = service.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let later = if let Pace::Later(by) = *pace.borrow() { by } else { Duration::ZERO };
        pieces.send((Instant::now() + later, buffer[..read].to_vec())).await?;
    }
}

async fn hand_on(
    mut due: mpsc::Receiver<Piece>,
    mut client: WriteHalf<Io>,
    pace: watch::Receiver<Pace>,
) -> Result<()> {
    while let Some((at, piece)) = due.recv().await {
        sleep_until(at).await;
        let mut rest = piece.as_slice();
        while !rest.is_empty() {
            let Pace::Drip(per_second) = *pace.borrow() else {
                client.write_all(rest).await?;
                break;
            };
            let drop = f64::from(per_second) * DROP.as_secs_f64();
            let (now, later) = rest.split_at(rest.len().min((drop as usize).max(1)));
            client.write_all(now).await?;
            sleep(DROP).await;
            rest = later;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A caller of a service that answers with `answer`, over a proxy of that pace.
    async fn heard(pace: Pace, answer: &'static [u8]) -> (Duration, Vec<u8>) {
        let env = Env::system(1);
        let mut service = env.net.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let port = service.local_addr().unwrap().port();
        let (_pace, told) = watch::channel(pace);
        let proxy = before(&env, port, told).await.unwrap();
        env.tasks.spawn("service", async move {
            let (mut io, _) = service.accept().await.unwrap();
            io.read_u8().await.unwrap();
            io.write_all(answer).await.unwrap();
            io.read_u8().await.unwrap_err();
        });
        let mut io = env.net.dial(&format!("127.0.0.1:{proxy}")).await.unwrap();
        let began = Instant::now();
        io.write_all(b"?").await.unwrap();
        let mut heard = vec![0; answer.len()];
        io.read_exact(&mut heard).await.unwrap();
        (began.elapsed(), heard)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_comes_as_late_and_as_slowly_as_it_is_to() {
        let (straight, heard_straight) = heard(Pace::Straight, b"an answer").await;
        let (later, heard_later) = heard(Pace::Later(Duration::from_millis(300)), b"an answer").await;
        // The last of four drops is not waited for.
        let (dripped, heard_dripped) = heard(Pace::Drip(20), b"answers!").await;
        assert!(straight < later && later >= Duration::from_millis(300), "{straight:?} {later:?}");
        assert!(dripped >= 3 * DROP, "{dripped:?}");
        assert_eq!(
            [heard_straight, heard_later, heard_dripped],
            [&b"an answer"[..], b"an answer", b"answers!"]
        );
    }
}
