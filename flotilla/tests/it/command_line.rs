//! What it answers to whoever types it.

use crate::program::{flotilla, told};

/// How the program answers to `arguments`: the code, then what it says, on stderr unless all is well.
async fn answer(arguments: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let (code, stdout, stderr) = told(&mut flotilla(dir.path(), arguments)).await;
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{arguments:?} has made something");
    let (said, silent) = if code == Some(0) { (stdout, stderr) } else { (stderr, stdout) };
    assert_eq!(silent, "", "{arguments:?} says it in the wrong place");
    format!("{}\n{said}", code.expect("it was not killed"))
}

#[tokio::test]
async fn it_explains_itself() {
    insta::assert_snapshot!(answer(&["--help"]).await, @"");
    insta::assert_snapshot!(answer(&["up", "-h"]).await, @"");
    insta::assert_snapshot!(answer(&["run", "--help"]).await, @"");
    assert_eq!(answer(&["--version"]).await, format!("0\nflotilla {}\n", chassis::VERSION));
}

#[tokio::test]
async fn a_service_explains_its_settings() {
    let help = answer(&["run", "user-service", "--help"]).await;
    assert!(help.starts_with("0\nuser-service ") && help.contains("DATABASE_URL  "), "{help}");
    let version = answer(&["run", "user-service", "--version"]).await;
    assert_eq!(version, format!("0\nuser-service {}\n", chassis::VERSION));
}

#[tokio::test]
async fn wrong_usage_is_told_with_what_would_be_right() {
    insta::assert_snapshot!(answer(&["upp"]).await, @"");
    insta::assert_snapshot!(answer(&["--data-dri", "x"]).await, @"");
    insta::assert_snapshot!(answer(&["run"]).await, @"");
    insta::assert_snapshot!(answer(&["run", "user-servic"]).await, @"");
    insta::assert_snapshot!(answer(&["run", "--http-port", "3000"]).await, @"");
    insta::assert_snapshot!(answer(&["run", "user-service", "http-port", "3000"]).await, @"");
}
