use anyhow::Result;
use futures_util::future::try_join_all;
use runtime::Env;
use tokio::sync::oneshot;

/// Runs `callers` at once, each in a task of its own; what each of them came to.
pub(crate) async fn all_at_once<F, T>(env: &Env, callers: impl IntoIterator<Item = F>) -> Result<Vec<T>>
where
    F: Future<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let outcomes = callers.into_iter().map(|caller| {
        let (done, outcome) = oneshot::channel();
        env.tasks.spawn("caller", async move {
            // Whoever asked has gone only when another caller has failed.
            drop(done.send(caller.await));
        });
        async { outcome.await? }
    });
    try_join_all(outcomes.collect::<Vec<_>>()).await
}
