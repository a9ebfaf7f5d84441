use std::path::PathBuf;

use database::TlsMode;

use crate::proxy::Proxy;
use crate::world::{COUNT, World, number, variable};

on_postgres! {
    each_mode_connects_and_is_encrypted_as_it_says,
    a_server_whose_certificate_is_not_what_was_asked_is_refused,
}

fn authority() -> Option<PathBuf> {
    variable("FLOTILLA_TEST_POSTGRES_CA").map(PathBuf::from)
}

async fn encrypted(world: &World) -> i64 {
    let outsider = world.outsider();
    outsider
        .number(
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE datname = current_database() AND application_name = 'flotilla' AND ssl",
        )
        .await
}

async fn each_mode_connects_and_is_encrypted_as_it_says(mut world: World) {
    let Some(authority) = authority() else { return };
    for (host, tls, is_encrypted) in [
        ("127.0.0.1", TlsMode::Disable, false),
        ("127.0.0.1", TlsMode::Require, true),
        ("127.0.0.1", TlsMode::VerifyCa(authority.clone()), true),
        ("localhost", TlsMode::VerifyFull(authority.clone()), true),
    ] {
        let config = world.postgres_config();
        (config.host, config.tls) = (host.to_owned(), tls.clone());
        let database = world.open().await;
        assert_eq!(number(&database, COUNT, vec![]).await, 0);
        assert_eq!(encrypted(&world).await > 0, is_encrypted, "{tls:?}");
        database.close().await;
        world.outsider().end_connections().await;
    }
}

async fn a_server_whose_certificate_is_not_what_was_asked_is_refused(mut world: World) {
    let Some(authority) = authority() else { return };
    let directory = tempfile::tempdir().unwrap();
    let garbage = directory.path().join("garbage.pem");
    std::fs::write(&garbage, "not a certificate").unwrap();
    let stranger = directory.path().join("stranger.pem");
    std::fs::write(&stranger, STRANGER).unwrap();
    for (tls, words) in [
        (TlsMode::VerifyFull(garbage), "root certificates in"),
        (TlsMode::VerifyFull(directory.path().join("missing.pem")), "root certificates in"),
        (TlsMode::VerifyFull(stranger.clone()), "invalid peer certificate"),
        (TlsMode::VerifyCa(stranger), "invalid peer certificate"),
    ] {
        world.postgres_config().tls = tls.clone();
        let refused = world.open_with(&[]).await.unwrap_err().to_string();
        assert!(refused.contains(words), "{tls:?}: {refused}");
    }
    // The certificate is made out to localhost and 127.0.0.1, not to this other address of the same machine.
    let env = world.env.clone();
    let config = world.postgres_config();
    let elsewhere = Proxy::at([127, 0, 0, 2], format!("{}:{}", config.host, config.port), &env).await.addr;
    (config.host, config.port) = (elsewhere.ip().to_string(), elsewhere.port());
    config.tls = TlsMode::VerifyFull(authority);
    let refused = world.open_with(&[]).await.unwrap_err().to_string();
    assert!(refused.contains("invalid peer certificate"), "{refused}");
}

/// An authority that signed nothing of ours.
const STRANGER: &str = include_str!("stranger.pem");
