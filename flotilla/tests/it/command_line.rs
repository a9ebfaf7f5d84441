//! What it answers to whoever types it.

use crate::program::{flotilla, told};

/// How the program answers to `arguments`: the code, then what it says, on stderr unless all is well.
async fn answer(arguments: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let (code, stdout, stderr) = told(&mut flotilla(dir.path(), arguments)).await;
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{arguments:?} has made something");
    let (said, silent) = if code == Some(0) { (stdout, stderr) } else { (stderr, stdout) };
    assert_eq!(silent, "", "{arguments:?} says it in the wrong place");
    // clap leaves blanks at the ends of lines.
    let lines = said.lines().map(|line| format!("{}\n", line.trim_end()));
    format!("{}\n{}", code.expect("it was not killed"), lines.collect::<String>())
}

#[tokio::test]
async fn it_explains_itself() {
    insta::assert_snapshot!(answer(&["--help"]).await, @r"
    0
    A microservices platform that starts with one command.

    Without a command it does what `flotilla up` does.

    Usage: flotilla [OPTIONS]
           flotilla <COMMAND>

    Commands:
      up          Run every service in this one process, with its data in a directory and no engine to install
      run         Run one service as a process of its own, with the engines that its settings name
      issue       Write a certificate of the local authority, with which a service runs as a process of its own
      operations  Ask running services, or tell them something, as the operator
      operators   Say which people's accounts are operators', who see and change what belongs to all
      help        Print this message or the help of the given subcommand(s)

    Options:
          --data-dir <DIR>
              Where all data is kept; it is made where it is missing

              [default: data]

          --public <IP:PORT>
              Where the public reaches the platform, 127.0.0.1:8080 by default; beyond loopback it wants TLS

          --log-format <FORMAT>
              How the log on stderr looks: human or json

          --log-level <FILTER>
              What is logged: a level, or a list such as info,user_service=debug

          --config <FILE>
              The configuration file, in place of flotilla.toml in the working directory

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Exit codes:
      0    ended in order, by SIGTERM or Ctrl-C
      64   wrong usage or settings; all that is wrong is told at once
      69   a port, a file or a database cannot be had; the same start may succeed later
      70   a fault of the program or a damaged file, or the drain took longer than DRAIN_TIMEOUT
      130  ended at once by a second signal
    ");
    insta::assert_snapshot!(answer(&["up", "-h"]).await, @r"
    0
    Run every service in this one process, with its data in a directory and no engine to install

    Usage: flotilla up [OPTIONS]

    Options:
          --data-dir <DIR>       Where all data is kept; it is made where it is missing [default: data]
          --public <IP:PORT>     Where the public reaches the platform, 127.0.0.1:8080 by default; beyond loopback it wants TLS
          --log-format <FORMAT>  How the log on stderr looks: human or json
          --log-level <FILTER>   What is logged: a level, or a list such as info,user_service=debug
          --config <FILE>        The configuration file, in place of flotilla.toml in the working directory
      -h, --help                 Print help

    Exit codes:
      0    ended in order, by SIGTERM or Ctrl-C
      64   wrong usage or settings; all that is wrong is told at once
      69   a port, a file or a database cannot be had; the same start may succeed later
      70   a fault of the program or a damaged file, or the drain took longer than DRAIN_TIMEOUT
      130  ended at once by a second signal
    ");
    insta::assert_snapshot!(answer(&["run", "--help"]).await, @r"
    0
    Run one service as a process of its own, with the engines that its settings name

    Usage: flotilla run <SERVICE> [SETTINGS]...

    Arguments:
      <SERVICE> [SETTINGS]...  The service, then its settings, such as user-service --http-port 3000; `flotilla run SERVICE --help` lists them

    Options:
      -h, --help  Print help

    Exit codes:
      0    ended in order, by SIGTERM or Ctrl-C
      64   wrong usage or settings; all that is wrong is told at once
      69   a port, a file or a database cannot be had; the same start may succeed later
      70   a fault of the program or a damaged file, or the drain took longer than DRAIN_TIMEOUT
      130  ended at once by a second signal
    ");
    assert_eq!(answer(&["--version"]).await, format!("0\nflotilla {}\n", chassis::VERSION));
}

#[tokio::test]
async fn what_operators_ask_is_explained() {
    insta::assert_snapshot!(answer(&["operations", "--help"]).await, @r"
    0
    Ask running services, or tell them something, as the operator

    Usage: flotilla operations [OPTIONS] <COMMAND>

    Commands:
      status     Tell how every instance is
      log-level  Change what every instance logs, until its process ends
      keys       The keys that sign access tokens
      authz      Tell who may call what
      help       Print this message or the help of the given subcommand(s)

    Options:
          --endpoint <SERVICE=HOST:PORT>  The gRPC address of an instance, such as user-service=127.0.0.1:50051; may be given several times
          --data-dir <DIR>                Where the data of `flotilla up` is kept [default: data]
      -h, --help                          Print help

    Asked are the instances that --endpoint names, else those of SERVICES_STATIC, SERVICES_DNS or CONSUL_HOST, else the
    `flotilla up` that runs in the data directory. They see the operator's certificate, which is in the directory
    that FLOTILLA_IDENTITY_DIR names, else in the directory `operator` of the data directory.

    Exit codes:
      0    done
      64   wrong usage or settings, or a service refuses
      69   a service does not answer, or not now; the same command may succeed later
      70   a fault of the program or of a service
      130  ended by Ctrl-C
    ");
    insta::assert_snapshot!(answer(&["operators", "add", "-h"]).await, @r"
    0
    Make an operator: of an account that is there, or else of a new one, whose password is read from stdin

    Usage: flotilla operators add [OPTIONS] <EMAIL>

    Arguments:
      <EMAIL>  The e-mail address

    Options:
          --name <NAME>                   What a new account's owner is called; else what stands before the @
          --endpoint <SERVICE=HOST:PORT>  The gRPC address of an instance, such as user-service=127.0.0.1:50051; may be given several times
          --data-dir <DIR>                Where the data of `flotilla up` is kept [default: data]
      -h, --help                          Print help

    Asked are the instances that --endpoint names, else those of SERVICES_STATIC, SERVICES_DNS or CONSUL_HOST, else the
    `flotilla up` that runs in the data directory. They see the operator's certificate, which is in the directory
    that FLOTILLA_IDENTITY_DIR names, else in the directory `operator` of the data directory.

    Exit codes:
      0    done
      64   wrong usage or settings, or a service refuses
      69   a service does not answer, or not now; the same command may succeed later
      70   a fault of the program or of a service
      130  ended by Ctrl-C
    ");
}

#[tokio::test]
async fn a_service_explains_its_settings() {
    let services =
        [("user-service", "DATABASE_URL"), ("auth-service", "SIGNING_KEY_SECRET"), ("api-gateway", "ROUTES")];
    for (service, setting) in services {
        let help = answer(&["run", service, "--help"]).await;
        assert!(help.starts_with(&format!("0\n{service} ")) && help.contains(setting), "{help}");
        let version = answer(&["run", service, "--version"]).await;
        assert_eq!(version, format!("0\n{service} {}\n", chassis::VERSION));
    }
}

#[tokio::test]
async fn wrong_usage_is_told_with_what_would_be_right() {
    insta::assert_snapshot!(answer(&["upp"]).await, @r"
    64
    error: unrecognized subcommand 'upp'

      tip: a similar subcommand exists: 'up'

    Usage: flotilla [OPTIONS]
           flotilla <COMMAND>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(answer(&["--data-dri", "x"]).await, @r"
    64
    error: unexpected argument '--data-dri' found

      tip: a similar argument exists: '--data-dir'

    Usage: flotilla --data-dir <DIR>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(answer(&["run"]).await, @r"
    64
    error: the following required arguments were not provided:
      <SERVICE> [SETTINGS]...

    Usage: flotilla run <SERVICE> [SETTINGS]...

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(answer(&["run", "user-servic"]).await, @r#"
    64
    flotilla: there is no service "user-servic"; must be one of: user-service, auth-service, api-gateway
    "#);
    insta::assert_snapshot!(answer(&["run", "--http-port", "3000"]).await, @r#"
    64
    flotilla: there is no service "--http-port"; must be one of: user-service, auth-service, api-gateway
    "#);
    insta::assert_snapshot!(answer(&["run", "user-service", "http-port", "3000"]).await, @r#"
    64
    user-service: 7 settings are wrong:
      "http-port": must be a flag, such as --http-port 3000
      "3000": must be a flag, such as --http-port 3000
      TLS_CERT_FILE: not set, must be a PEM file with the service's certificate and its chain
      TLS_KEY_FILE: not set, must be a PEM file with the certificate's key
      TLS_CA_FILE: not set, must be a PEM file with the authorities that vouch for other services
      SERVICES_STATIC: not set, must be the instances of the other services with commas between them, each SERVICE=IP or SERVICE=IP:HTTP_PORT:GRPC_PORT, or else SERVICES_DNS or CONSUL_HOST
      DATABASE_URL: not set, must be postgres://USER:PASSWORD@HOST:PORT/NAME or sqlite:PATH, or else DB_HOST, DB_USER, DB_PASSWORD and DB_NAME
    "#);
}
