use std::future::Future;
use std::path::Path;

use chassis::{Failure, Listeners, Platform, Service, Settings, Sources, StartError};
use database::SqliteConfig;
use types::ServiceName;

use super::house::House;
use super::welcome::Row;
use crate::data_dir::database_file;
use crate::error::Error;

/// A service of the composition and what it was told.
pub(super) struct Member<C> {
    name: ServiceName,
    listeners: Listeners,
    config: C,
    /// What it keeps its data in, as people are told.
    database: String,
}

/// A service of the composition that has its ports.
pub(super) struct Built {
    pub(super) service: Service,
    pub(super) row: Row,
}

impl<C> Member<C> {
    /// Reads the settings that are the service's own; its database is a file in `data_dir`.
    pub(super) fn read(
        name: ServiceName,
        sources: &Sources,
        data_dir: &Path,
        configure: impl FnOnce(database::Config, &mut Settings) -> C,
    ) -> (Settings, Self) {
        let file = database_file(data_dir, &name);
        let database = format!("sqlite:{}", file.display());
        let mut settings = Settings::new(name.clone(), sources.clone());
        let listeners = Listeners::local().or(&mut settings);
        let config = configure(database::Config::sqlite(SqliteConfig::at(file)), &mut settings);
        (settings, Self { name, listeners, config, database })
    }

    pub(super) async fn build<F>(
        self,
        house: &House,
        build: impl FnOnce(C, Platform) -> F,
    ) -> Result<Built, Error>
    where
        F: Future<Output = Result<Service, StartError>>,
    {
        let platform = house.platform(&self.name, self.listeners)?;
        let service = build(self.config, platform).await.map_err(Failure::from)?;
        let row = Row { service: self.name, addrs: service.addrs(), database: self.database };
        Ok(Built { service, row })
    }
}
