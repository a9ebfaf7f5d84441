//! The callee.

use std::convert::Infallible;
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use proto::userservice::user_service_server::{UserService, UserServiceServer};
use proto::userservice::{
    CreateUserRequest, DeleteUserRequest, Empty, GetUserRequest, UpdateUserRequest, User,
};
use runtime::{Env, Io};
use service_auth::{Alpn, Identity};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait};

/// A body in tests.
pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// What answers calls.
pub(crate) trait Grpc:
    Fn(Request<GetUserRequest>) -> BoxFuture<'static, Result<String, Status>> + Send + Sync + 'static
{
}

impl<F> Grpc for F where
    F: Fn(Request<GetUserRequest>) -> BoxFuture<'static, Result<String, Status>> + Send + Sync + 'static
{
}

/// What answers requests.
pub(crate) trait Http:
    Fn(http::Request<Incoming>) -> BoxFuture<'static, http::Response<Body>> + Send + Sync + 'static
{
}

impl<F> Http for F where
    F: Fn(http::Request<Incoming>) -> BoxFuture<'static, http::Response<Body>> + Send + Sync + 'static
{
}

pub(crate) fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(Into::into).boxed_unsync()
}

/// A server, which counts its connections and can cut them.
#[derive(Clone, Default)]
pub(crate) struct Shop(Arc<State>);

#[derive(Default)]
struct State {
    accepted: AtomicUsize,
    open: AtomicUsize,
    cut: Mutex<CancellationToken>,
}

impl Shop {
    pub(crate) fn grpc(env: &Env, accepted: mpsc::Receiver<Io>, me: Identity, answer: impl Grpc) -> Self {
        let clerk = TowerToHyperService::new(UserServiceServer::new(Clerk(Arc::new(answer))));
        Self::serve(env, accepted, me, Alpn::H2, move |io| {
            let clerk = clerk.clone();
            Box::pin(async move {
                drop(
                    http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(io), clerk).await,
                );
            })
        })
    }

    pub(crate) fn http(env: &Env, accepted: mpsc::Receiver<Io>, me: Identity, answer: impl Http) -> Self {
        let answer = Arc::new(answer);
        Self::serve(env, accepted, me, Alpn::H2OrHttp1, move |io| {
            let answer = Arc::clone(&answer);
            let service = service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            Box::pin(async move {
                drop(http1::Builder::new().serve_connection(TokioIo::new(io), service).await);
            })
        })
    }

    fn serve(
        env: &Env,
        mut accepted: mpsc::Receiver<Io>,
        me: Identity,
        alpn: Alpn,
        speak: impl Fn(Io) -> BoxFuture<'static, ()> + Send + 'static,
    ) -> Self {
        let shop = Self::default();
        let (tasks, served) = (env.with_own_tasks().tasks, shop.clone());
        tasks.clone().spawn("shop", async move {
            while let Some(io) = accepted.recv().await {
                let Ok(secured) = me.accept(io, alpn).await else { continue };
                served.0.accepted.fetch_add(1, Ordering::Relaxed);
                served.0.open.fetch_add(1, Ordering::Relaxed);
                let (cut, spoken, shop) = (served.cut_token(), speak(secured.io), served.clone());
                tasks.spawn("connection", async move {
                    cut.run_until_cancelled_owned(spoken).await;
                    shop.0.open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        shop
    }

    fn cut_token(&self) -> CancellationToken {
        self.0.cut.lock().unwrap().clone()
    }

    /// Cuts all connections that are open now.
    pub(crate) fn cut(&self) {
        std::mem::take(&mut *self.0.cut.lock().unwrap()).cancel();
    }

    /// How many connections there have been.
    pub(crate) fn accepted(&self) -> usize {
        self.0.accepted.load(Ordering::Relaxed)
    }

    /// Waits until no more than `count` connections are open.
    pub(crate) async fn until_open(&self, count: usize) {
        let open = || self.0.open.load(Ordering::Relaxed);
        assert!(until(|| open() <= count).await, "{} connections stay open", open());
    }

    /// Waits until there have been `count` connections.
    pub(crate) async fn until_accepted(&self, count: usize) {
        assert!(until(|| self.accepted() >= count).await, "{} connections", self.accepted());
    }
}

async fn until(is_so: impl Fn() -> bool) -> bool {
    /// More than any task takes to hear of what others do.
    const MOST_TURNS: usize = 10_000;
    for _ in 0..MOST_TURNS {
        if is_so() {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

struct Clerk(Arc<dyn Grpc<Output = BoxFuture<'static, Result<String, Status>>>>);

#[async_trait]
impl UserService for Clerk {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        let name = (self.0)(request).await?;
        Ok(Response::new(User { name, ..User::default() }))
    }

    async fn create_user(&self, _: Request<CreateUserRequest>) -> Result<Response<User>, Status> {
        Err(Status::unimplemented("nobody calls it"))
    }

    async fn update_user(&self, _: Request<UpdateUserRequest>) -> Result<Response<User>, Status> {
        Err(Status::unimplemented("nobody calls it"))
    }

    async fn delete_user(&self, _: Request<DeleteUserRequest>) -> Result<Response<Empty>, Status> {
        Err(Status::unimplemented("nobody calls it"))
    }
}
