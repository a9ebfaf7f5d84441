//! The commands that ask running services and end.

use tokio::runtime::Builder;

use crate::cli::{KeysVerb, OperatorsVerb, Reach, Verb};
use crate::error::Error;
use crate::operator::Operator;
use crate::{keys, operations, operators};

/// `flotilla operations`.
pub(crate) fn operations(verb: &Verb, reach: &Reach) -> Result<(), Error> {
    until_done(reach, async |operator| match verb {
        Verb::Status { services } => operations::status(operator, services).await,
        Verb::LogLevel { filter, services } => operations::set_log_level(operator, filter, services).await,
        Verb::Authz { services } => operations::permissions(operator, services).await,
        Verb::Keys { verb: KeysVerb::Rotate } => keys::rotate(operator).await,
        Verb::Keys { verb: KeysVerb::List } => keys::list(operator).await,
    })
}

/// `flotilla operators`.
pub(crate) fn operators(verb: &OperatorsVerb, reach: &Reach) -> Result<(), Error> {
    until_done(reach, async |operator| match verb {
        OperatorsVerb::Add(asked) => operators::add(operator, asked).await,
    })
}

/// Does `work`, or ends with Ctrl-C, which must find a terminal that shows again what is typed.
fn until_done(reach: &Reach, work: impl AsyncFnOnce(&Operator) -> Result<(), Error>) -> Result<(), Error> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let whole = async || {
        let operator = Operator::at(reach).await?;
        work(&operator).await
    };
    let done = runtime.block_on(async {
        tokio::select! {
            done = whole() => done,
            interrupted = tokio::signal::ctrl_c() => Err(interrupted.err().map_or(Error::Interrupted, Error::from)),
        }
    });
    // Nobody waits for what is typed any more.
    runtime.shutdown_background();
    done
}
