use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::account::Account;
use crate::process;

/// The authority that clients trust.
pub(crate) const CA: &str = "ca.pem";
pub(crate) const SERVER_CERT: &str = "server.pem";
pub(crate) const SERVER_KEY: &str = "server.key";
const CA_KEY: &str = "ca.key";
/// No cluster lives longer than a developer leaves it running.
const DAYS: &str = "90";

/// openssl's own defaults would make the server's certificate an authority too, which clients rightly refuse.
const EXTENSIONS: &str = "\
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
authorityKeyIdentifier = keyid
";

/// Makes an authority in `dir` and a certificate of it for a server on the loopback. The authority's key is not
/// kept: one cluster has one certificate.
pub(crate) fn make(dir: &Path, server: Account) -> Result<()> {
    let config = dir.join("openssl.cnf");
    fs::write(&config, EXTENSIONS)?;
    process::read(
        request(dir, "authority", "/CN=engines of the tests").args(["-keyout", CA_KEY, "-out", CA]),
    )?;
    process::read(request(dir, "server", "/CN=localhost").args([
        "-CA",
        CA,
        "-CAkey",
        CA_KEY,
        "-keyout",
        SERVER_KEY,
        "-out",
        SERVER_CERT,
    ]))?;
    fs::remove_file(dir.join(CA_KEY))?;
    fs::remove_file(config)?;
    server.own(&dir.join(SERVER_KEY))
}

fn request(dir: &Path, section: &str, subject: &str) -> Command {
    let mut command = Command::new("openssl");
    command.current_dir(dir).args(["req", "-x509", "-config", "openssl.cnf", "-extensions", section]);
    command.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]);
    command.args(["-days", DAYS, "-subj", subject]);
    command
}
