//! The peer of `getuser`: a tonic server that reads a user and does nothing else.
//!
//! It has the same TLS, the same number of connections to the database and the same query as the service, and
//! none of its bounds, identifiers, measurements or logs.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::Result;
use async_channel::{Receiver, Sender};
use clap::Args;
use database::PostgresConfig;
use futures_util::{Stream, stream};
use proto::userservice::user_service_server::{UserService, UserServiceServer};
use proto::userservice::{
    CreateUserRequest, DeleteUserRequest, Empty, GetUserRequest, UpdateUserRequest, User,
};
use runtime::{Env, Io, Listener};
use service_auth::{Alpn, Identity};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{Client, NoTls, Row, Statement};
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, async_trait};
use types::Timestamp;
use uuid::Uuid;

const FIND: &str = "SELECT id, email, name, role, created_at, version FROM users WHERE id = $1";

#[derive(Args)]
pub(crate) struct Settings {
    #[arg(long)]
    pub(crate) database_url: String,
    #[arg(long)]
    pub(crate) cert: PathBuf,
    #[arg(long)]
    pub(crate) key: PathBuf,
    #[arg(long)]
    pub(crate) ca: PathBuf,
}

/// Serves until it is killed. The first line on stderr is the address it listens on.
pub(crate) async fn serve(settings: Settings) -> Result<()> {
    let env = Env::system(1);
    let identity = Identity::load(&settings.cert, &settings.key, &settings.ca, &env.clock)?;
    let users = Users::open(&env, &settings.database_url).await?;
    let listener = env.net.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    writeln!(io::stderr(), "{}", listener.local_addr()?)?;
    let server = tonic::transport::Server::builder().add_service(UserServiceServer::new(users));
    server.serve_with_incoming(connections(listener, identity)).await?;
    Ok(())
}

/// Connections in turn: there are only a few, and they come before anything is measured.
fn connections(listener: Listener, identity: Identity) -> impl Stream<Item = io::Result<Connection>> {
    stream::unfold((listener, identity), async |(mut listener, identity)| {
        let accepted = async {
            let (io, _) = listener.accept().await?;
            let secured = identity.accept(io, Alpn::H2).await.map_err(io::Error::other)?;
            Ok(Connection(secured.io))
        };
        Some((accepted.await, (listener, identity)))
    })
}

/// A client of the database and what it has prepared.
type Reader = (Client, Statement);

/// A fixed pool: who takes a reader gives it back.
struct Users {
    free: Receiver<Reader>,
    done: Sender<Reader>,
}

impl Users {
    async fn open(env: &Env, url: &str) -> Result<Self> {
        let (done, free) = async_channel::bounded(PostgresConfig::DEFAULT_POOL);
        for _ in 0..PostgresConfig::DEFAULT_POOL {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            env.tasks.spawn("connection", async move { drop(connection.await) });
            let find = client.prepare(FIND).await?;
            done.send((client, find)).await?;
        }
        Ok(Self { free, done })
    }

    async fn find(&self, id: Uuid) -> Result<Option<Row>, Status> {
        let (client, find) = self.free.recv().await.map_err(failed)?;
        let found = client.query_opt(&find, &[&id]).await;
        self.done.send((client, find)).await.map_err(failed)?;
        found.map_err(failed)
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Status {
    Status::from_error(Box::new(error))
}

#[async_trait]
impl UserService for Users {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        let id = request.get_ref().id.parse().or(Err(Status::invalid_argument("id must be a UUID")))?;
        let row = self.find(id).await?.ok_or_else(|| Status::not_found("there is no such account"))?;
        Ok(Response::new(User {
            id: row.get::<_, Uuid>(0).to_string(),
            email: row.get(1),
            name: row.get(2),
            role: row.get(3),
            created_at: Timestamp::from_micros(row.get(4)).to_string(),
        }))
    }

    async fn create_user(&self, _: Request<CreateUserRequest>) -> Result<Response<User>, Status> {
        Err(Status::unimplemented("only GetUser is measured"))
    }

    async fn update_user(&self, _: Request<UpdateUserRequest>) -> Result<Response<User>, Status> {
        Err(Status::unimplemented("only GetUser is measured"))
    }

    async fn delete_user(&self, _: Request<DeleteUserRequest>) -> Result<Response<Empty>, Status> {
        Err(Status::unimplemented("only GetUser is measured"))
    }
}

/// A connection in the form that tonic takes.
struct Connection(Io);

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
