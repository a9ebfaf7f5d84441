//! All services at once, from their first request to the end of the last.

use std::io::{self, Write as _};

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
    /// Those that nobody outside reaches but through the gateway.
    pub(super) inside: Vec<Built>,
    pub(super) gateway: Built,
    /// Where the gateway is reached.
    pub(super) url: String,
}

impl Together {
    /// Serves until `shutdown`. A service that ends by itself takes the others along, in order.
    pub(super) async fn serve(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { house, inside, gateway, url } = self;
        let (services, mut rows): (Vec<_>, Vec<_>) =
            inside.into_iter().map(|Built { service, row }| (service, row)).unzip();
        rows.push(gateway.row);
        let inside = join_all(services.into_iter().map(|service| run(service, &shutdown)));
        let front = async {
            // Until this is done nobody comes in: a stranger could take the first operator's address.
            match shutdown.run_until_cancelled(open(&house, rows, url)).await {
                Some(Ok(_announced)) => run(gateway.service, &shutdown).await,
                Some(Err(error)) => {
                    shutdown.cancel();
                    Err(error)
                }
                None => Ok(()),
            }
        };
        let (inside, front) = tokio::join!(inside, front);
        front.and(inside.into_iter().collect())
    }
}

async fn run(service: Service, shutdown: &CancellationToken) -> Result<(), Error> {
    let ended = service.run(shutdown.clone()).await;
    shutdown.cancel();
    Ok(ended.map_err(Failure::from)?)
}

/// Completes what the first start does once, and tells operators and whoever started it where everything is.
async fn open(house: &House, rows: Vec<Row>, url: String) -> Result<Announcement, Error> {
    let certificate = house.write_operator()?;
    let first = FirstOperator::in_directory(house.data_dir());
    if !first.is_made() {
        first.make(house.accounts().await?, &house.env.random).await?;
    }
    let services: Vec<_> = rows.iter().map(|row| (row.service.clone(), row.addrs)).collect();
    let announced = Announcement::make(house.data_dir(), &services);
    let announcement = announced.map_err(refused("announcing the services in", house.data_dir()))?;
    // A platform whose terminal is gone serves on.
    drop(write!(io::stdout(), "{}", Welcome { rows, url, first_operator: first.told(), certificate }));
    Ok(announcement)
}
