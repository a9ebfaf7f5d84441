//! All services at once, from their first request to the end of the last.

use std::io::{self, Write as _};

use chassis::{Failure, RunError, Service, VERSION};
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::house::House;
use super::member::Built;
use crate::data_dir::refused;
use crate::error::Error;
use crate::first_operator::FirstOperator;
use crate::instances::Announcement;
use crate::table::{Row, Table};

/// Serves until `shutdown`. A service that ends by itself takes the others along, in order.
pub(super) async fn serve(
    house: &House,
    members: Vec<Built>,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let (services, rows): (Vec<_>, Vec<_>) =
        members.into_iter().map(|Built { service, row }| (service, row)).unzip();
    let open = async {
        let opened = shutdown.run_until_cancelled(open(house, rows)).await.transpose();
        if opened.is_err() {
            shutdown.cancel();
        }
        opened
    };
    // The announcement is kept until all have ended.
    let (opened, ran) = tokio::join!(open, run_all(services, shutdown));
    opened?;
    Ok(ran.map_err(Failure::from)?)
}

/// Completes the first start, and tells operators and whoever started it where the services are.
async fn open(house: &House, rows: Vec<Row>) -> Result<Announcement, Error> {
    let certificate = house.write_operator()?;
    let first = FirstOperator::in_directory(house.data_dir());
    if !first.is_made() {
        first.make(house.accounts().await?, &house.env.random).await?;
    }
    let addrs: Vec<_> = rows.iter().map(|row| (row.service.clone(), row.addrs)).collect();
    let announced = Announcement::make(house.data_dir(), &addrs);
    let announcement = announced.map_err(refused("announcing the services in", house.data_dir()))?;
    let operator = first.told().map(|told| format!("{told}\n")).unwrap_or_default();
    // A platform whose terminal is gone serves on.
    drop(writeln!(
        io::stdout(),
        "flotilla {VERSION}\n\n{}\n{operator}The operator's certificate for mTLS is in {}.\nCtrl-C ends everything in order.",
        Table(rows),
        certificate.display()
    ));
    Ok(announcement)
}

async fn run_all(services: Vec<Service>, shutdown: &CancellationToken) -> Result<(), RunError> {
    let runs = services.into_iter().map(|service| async {
        let ended = service.run(shutdown.clone()).await;
        shutdown.cancel();
        ended
    });
    join_all(runs).await.into_iter().collect()
}
