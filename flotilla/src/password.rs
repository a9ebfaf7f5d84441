use std::io::{self, BufRead, IsTerminal as _, Read as _, Write as _};

use runtime::Tasks;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::zeroize::Zeroize as _;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::oneshot;

/// More than the longest password there may be, in bytes: what is longer is refused by who knows the rules.
const LONGEST_LINE: u64 = 4096;

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("the password is expected as a line on stdin")]
    Missing,
    #[error("the two passwords differ")]
    Differ,
    #[error("the password must be text in UTF-8")]
    NoText,
    #[error("reading the password")]
    Read(#[from] io::Error),
}

/// Asks for a new password: at a terminal, which shows nothing of it, twice, or else the first line of what is piped
/// in. A command line is no place for one, because every user of the machine can read it.
pub(crate) async fn new_password(tasks: &Tasks, whose: &str) -> Result<SecretString, PasswordError> {
    if !io::stdin().is_terminal() {
        return next_line(tasks).await;
    }
    let _quiet = Quiet::make()?;
    let first = asked(tasks, &format!("New password for {whose}: ")).await?;
    let second = asked(tasks, "The same again: ").await?;
    if first.expose_secret() == second.expose_secret() { Ok(first) } else { Err(PasswordError::Differ) }
}

async fn asked(tasks: &Tasks, prompt: &str) -> Result<SecretString, PasswordError> {
    write!(io::stderr(), "{prompt}")?;
    let answer = next_line(tasks).await;
    // Nothing was shown, the end of the line neither.
    writeln!(io::stderr())?;
    answer
}

/// A terminal that is waited for holds up its thread: it is another one's, so that Ctrl-C need not wait too.
async fn next_line(tasks: &Tasks) -> Result<SecretString, PasswordError> {
    let (tell, told) = oneshot::channel();
    tasks.spawn_dedicated("stdin", async move {
        // Nobody is told who has given up.
        drop(tell.send(line(&mut io::stdin().lock())));
    })?;
    told.await.unwrap_or(Err(PasswordError::Missing))
}

fn line(input: &mut impl BufRead) -> Result<SecretString, PasswordError> {
    let mut line = String::new();
    let read = input.take(LONGEST_LINE).read_line(&mut line);
    let password = SecretString::from(line.trim_end_matches(['\r', '\n']));
    line.zeroize();
    match read {
        Ok(0) => Err(PasswordError::Missing),
        Ok(_) => Ok(password),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(PasswordError::NoText),
        Err(error) => Err(error.into()),
    }
}

/// A terminal that does not show what is typed, until this is dropped.
struct Quiet(Termios);

impl Quiet {
    fn make() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        // What was typed ahead was shown and is none of it.
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing either.
        tcsetattr(io::stdin(), OptionalActions::Flush, &self.0).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8]) -> Result<String, String> {
        let line = line(&mut bytes);
        line.map(|line| line.expose_secret().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_line_is_the_password_with_its_blanks_and_without_its_end() {
        assert_eq!(read(b" correct horse \nbattery\n"), Ok(" correct horse ".to_owned()));
        assert_eq!(read(b"correct horse\r\n"), Ok("correct horse".to_owned()));
        assert_eq!(read(b"correct horse"), Ok("correct horse".to_owned()));
        assert_eq!(read(b"\n"), Ok(String::new()));
        assert_eq!(read(b""), Err("the password is expected as a line on stdin".to_owned()));
        assert_eq!(read(b"\xff\n"), Err("the password must be text in UTF-8".to_owned()));
        let endless = vec![b'a'; 1 << 20];
        assert_eq!(read(&endless).map(|line| line.len()), Ok(4096));
    }
}
