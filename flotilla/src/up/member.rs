use std::future::Future;
use std::path::Path;

use chassis::{Configure, Failure, Listeners, Platform, Service, Settings, Sources, StartError};
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
    pub(super) config: C,
    /// What it keeps its data in, as people are told; nothing for one that keeps none.
    database: Option<String>,
}

/// A service of the composition that has its ports.
pub(super) struct Built {
    pub(super) service: Service,
    pub(super) row: Row,
}

impl<C: Configure> Member<C> {
    /// Reads the settings of a service that keeps nothing.
    pub(super) fn without_data(name: ServiceName, sources: &Sources) -> (Settings, Self) {
        Self::told(name, sources, None, C::configure)
    }
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
        let told = format!("sqlite:{}", file.display());
        let database = database::Config::sqlite(SqliteConfig::at(file));
        Self::told(name, sources, Some(told), |settings| configure(database, settings))
    }

    fn told(
        name: ServiceName,
        sources: &Sources,
        database: Option<String>,
        configure: impl FnOnce(&mut Settings) -> C,
    ) -> (Settings, Self) {
        let mut settings = Settings::new(name.clone(), sources.clone());
        let listeners = Listeners::local().or(&mut settings);
        let config = configure(&mut settings);
        (settings, Self { name, listeners, config, database })
    }

    /// Takes its ports.
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
