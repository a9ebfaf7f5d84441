use std::path::Path;

use auth_service::SealingKey;
use chassis::{Settings, Sources};

use super::house::House;
use super::member::Member;
use super::together::Together;
use crate::error::Error;
use crate::run::{API_GATEWAY, AUTH_SERVICE, USER_SERVICE};
use crate::signing_secret::signing_secret;

/// What every service of the composition was told.
pub(super) struct Plan {
    auth: Member<Unsealed>,
    users: Member<user_service::Config>,
    gateway: Member<api_gateway::Config>,
}

/// auth-service's configuration but for its secret, which is in the data directory: that is opened when everything
/// it was told is known to be right.
type Unsealed = Box<dyn FnOnce(SealingKey) -> auth_service::Config>;

fn unsealed(database: database::Config, settings: &mut Settings) -> Unsealed {
    settings.bring("SIGNING_KEY_SECRET");
    Box::new(auth_service::Config::with_database(database, settings))
}

impl Plan {
    /// Reads the settings of each service.
    pub(super) fn read(sources: &Sources, data_dir: &Path) -> (Vec<Settings>, Self) {
        let (of_auth, auth) = Member::read(AUTH_SERVICE, sources, data_dir, unsealed);
        let (of_users, users) =
            Member::read(USER_SERVICE, sources, data_dir, user_service::Config::with_database);
        let (of_gateway, gateway) = Member::without_data(API_GATEWAY, sources);
        (vec![of_auth, of_users, of_gateway], Self { auth, users, gateway })
    }

    /// Builds them all.
    pub(super) async fn build(self, house: House) -> Result<Together, Error> {
        let sealing = signing_secret(house.data_dir(), &house.env.random)?;
        let scheme = self.gateway.config.front.scheme();
        let auth =
            self.auth.build(&house, |unsealed, platform| auth_service::build(unsealed(sealing), platform));
        let inside = vec![auth.await?, self.users.build(&house, user_service::build).await?];
        let gateway = self.gateway.build(&house, api_gateway::build).await?;
        let url = format!("{scheme}://{}", gateway.row.addrs.http);
        Ok(Together { house, url, gateway, inside })
    }
}
