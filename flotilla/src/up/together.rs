//! All services at once, from their first request to the end of the last.

use std::io::{self, Write as _};
use std::mem;

use chassis::{Failure, Service};
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::house::House;
use super::member::Built;
use super::welcome::{Row, Welcome};
use crate::data_dir::refused;
use crate::error::Error;
use crate::first_operator::FirstOperator;
use crate::instances::Announcement;

/// Every service of the composition, with its ports.
pub(super) struct Together {
    pub(super) house: House,
    /// Where the gateway is reached.
    pub(super) url: String,
    pub(super) gateway: Built,
    /// Those that nobody outside reaches but through the gateway. Each serves those before it; what it asks of them, the
    /// keys of tokens, is for people who come by the gateway.
    pub(super) inside: Vec<Built>,
}

impl Together {
    /// Serves until `shutdown`. Then each service ends when those have that it serves. One that ends by itself takes the
    /// others along, in the same order.
    pub(super) async fn serve(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { house, url, gateway, inside } = self;
        let (services, mut rows): (Vec<_>, Vec<_>) =
            inside.into_iter().map(|Built { service, row }| (service, row)).unzip();
        let expected: Vec<_> = rows.iter().map(|row| house.expect(&row.service, row.addrs)).collect();
        rows.insert(0, gateway.row);
        let uncalled = CancellationToken::new();
        let last_call = uncalled.clone().drop_guard();
        let front = async {
            let (_last_call, _expected) = (last_call, expected);
            // Until this is done nobody comes in: a stranger could take the first operator's address.
            let Some(opened) = shutdown.run_until_cancelled(open(&house, rows, url)).await else {
                return Ok(());
            };
            let _announced = opened.inspect_err(|_| shutdown.cancel())?;
            run(gateway.service, &shutdown, &shutdown).await
        };
        let (front, inside) = tokio::join!(front, run_in_turn(services, uncalled, &shutdown));
        front.and(inside)
    }
}

/// Runs them until `uncalled`, and each that is not the first until the one before it has ended.
async fn run_in_turn(
    services: Vec<Service>,
    mut uncalled: CancellationToken,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let runs = services.into_iter().map(|service| {
        let next = CancellationToken::new();
        let (until, last_call) = (mem::replace(&mut uncalled, next.clone()), next.drop_guard());
        async move {
            let _last_call = last_call;
            run(service, &until, shutdown).await
        }
    });
    join_all(runs).await.into_iter().collect()
}

async fn run(service: Service, until: &CancellationToken, shutdown: &CancellationToken) -> Result<(), Error> {
    let ended = service.run(until.clone()).await;
    shutdown.cancel();
    Ok(ended.map_err(Failure::from)?)
}

/// Completes what the first start does once, and tells operators and whoever started it where everything is.
async fn open(house: &House, rows: Vec<Row>, url: String) -> Result<Announcement, Error> {
    let certificate = house.write_operator()?;
    let first = FirstOperator::in_directory(house.data_dir());
    if !first.is_made() {
        first.make(house.accounts()?, &house.env.random).await?;
    }
    let services: Vec<_> = rows.iter().map(|row| (row.service.clone(), row.addrs)).collect();
    let announced = Announcement::make(house.data_dir(), &services);
    let announcement = announced.map_err(refused("announcing the services in", house.data_dir()))?;
    // A platform whose terminal is gone serves on.
    drop(write!(io::stdout(), "{}", Welcome { rows, url, first_operator: first.told(), certificate }));
    Ok(announcement)
}
