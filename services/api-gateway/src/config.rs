//! What the gateway is told at its start.

use std::net::SocketAddr;

use chassis::{Configure, FrontConfig, FrontTls, Settings};

use crate::client::{Proxies, WrongProxy};
use crate::limits::LimitsConfig;
use crate::routes::{Routes, RoutesError, WrongRoute};

/// The gateway's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the public connects.
    pub front: FrontConfig,
    /// Which service answers what.
    pub routes: Routes,
    /// How often somebody may ask.
    pub limits: LimitsConfig,
    /// What stands before the gateway.
    pub proxies: Proxies,
}

impl Config {
    /// With the public on `addr` where the settings say nothing else.
    pub fn at(addr: SocketAddr, settings: &mut Settings) -> Self {
        Self::with(FrontConfig::or(addr, settings), settings)
    }

    fn with(front: FrontConfig, settings: &mut Settings) -> Self {
        let limits = LimitsConfig::configure(settings);
        let (routes, proxies) = (routes(settings), proxies(settings));
        // Else all clients would have one address, and share what each may do.
        if front.tls == FrontTls::Terminated && proxies.is_empty() {
            settings.reject("TRUSTED_PROXIES", format!("{PROXIES}, because PUBLIC_TLS is terminated"));
        }
        Self { front, routes, limits, proxies }
    }
}

impl Configure for Config {
    fn configure(settings: &mut Settings) -> Self {
        Self::with(FrontConfig::configure(settings), settings)
    }
}

fn routes(settings: &mut Settings) -> Routes {
    let text = settings.text("ROUTES", Routes::DEFAULT);
    text.parse().unwrap_or_else(|RoutesError(wrong)| {
        for WrongRoute { part, right } in wrong {
            settings.reject_part("ROUTES", &part, right);
        }
        Routes::default()
    })
}

const PROXIES: &str = "the addresses or networks of the proxies before the gateway, with commas between them";

fn proxies(settings: &mut Settings) -> Proxies {
    let text = settings.optional_text("TRUSTED_PROXIES", PROXIES).unwrap_or_default();
    Proxies::parse(&text).unwrap_or_else(|wrong| {
        for WrongProxy(part) in wrong {
            settings.reject_part("TRUSTED_PROXIES", &part, Proxies::RIGHT);
        }
        Proxies::default()
    })
}

#[cfg(test)]
mod tests {
    use chassis::{Sources, Vars};
    use types::ServiceName;

    use super::*;

    fn config<const N: usize>(vars: [(&str, &str); N]) -> Result<Config, String> {
        let sources = Sources { vars: Vars::from(vars), ..Sources::default() };
        let mut settings = Settings::new(ServiceName::new("api-gateway"), sources);
        let config = Config::configure(&mut settings);
        settings.finish().map(|()| config).map_err(|errors| errors.to_string())
    }

    #[test]
    fn without_settings_the_platform_s_services_are_reached_on_loopback() {
        let config = config([]).unwrap();
        assert_eq!(config.front.addr, SocketAddr::from(([127, 0, 0, 1], 8080)));
        assert_eq!(config.routes, Routes::default());
        assert_eq!((config.limits, config.proxies), (LimitsConfig::default(), Proxies::default()));
    }

    #[test]
    fn what_ends_tls_before_the_gateway_is_named() {
        let unnamed = config([("PUBLIC_TLS", "terminated")]);
        insta::assert_snapshot!(unnamed.unwrap_err(), @r"
        1 setting is wrong:
          TRUSTED_PROXIES: not set, must be the addresses or networks of the proxies before the gateway, with commas between them, because PUBLIC_TLS is terminated
        ");
        assert!(config([("PUBLIC_TLS", "terminated"), ("TRUSTED_PROXIES", "10.0.0.0/8")]).is_ok());
    }

    #[test]
    fn every_wrong_part_of_a_list_is_told() {
        let wrong = config([
            ("ROUTES", "/users user user-service, /orders somebody order-service, users user user-service"),
            ("TRUSTED_PROXIES", "10.0.0.0/8, nginx"),
            ("USER_RATE", "0"),
        ]);
        insta::assert_snapshot!(wrong.unwrap_err(), @r#"
        4 settings are wrong:
          USER_RATE (environment): must be a number from 1 to 1000000, not "0"
          ROUTES (environment): must be for public, user or operator after the prefix, not "/orders somebody order-service"
          ROUTES (environment): must be for a path of whole segments of letters, digits and -._~, without a slash at its end, not "users user user-service"
          TRUSTED_PROXIES (environment): must be an IP address or a network such as 10.0.0.0/8, not "nginx"
        "#);
    }
}
