//! Files that are there whole or not at all, whenever the power goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;

pub(crate) const FOR_ITS_OWNER: u32 = 0o600;
pub(crate) const FOR_ALL_TO_READ: u32 = 0o644;

/// Puts `text` in the place of what is at `path`. Once this returns it outlives a power loss.
pub(crate) fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let new = beside(path);
    write(&new, text, mode)?;
    fs::rename(&new, path)?;
    sync_name(path)
}

/// Where a file is written before it takes the place of the one at `path`.
pub(crate) fn beside(path: &Path) -> PathBuf {
    path.with_added_extension("new")
}

pub(crate) fn write(new: &Path, text: &str, mode: u32) -> io::Result<()> {
    // Not written over: what a crash has left may be open to others.
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(new)?;
    file.write_all(text.as_bytes())?;
    // Or after a power loss the name would lead to nothing.
    file.sync_all()
}

/// A power loss must not take away the name of what is at `path`, which may lead to what was acknowledged.
pub(crate) fn sync_name(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// A secret as text that every shell and every file takes.
pub(crate) fn hex(secret: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(secret.iter().map(|byte| format!("{byte:02x}")).collect())
}
