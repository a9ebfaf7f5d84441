use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::CaError;

/// Certificate and key are one file, so that no crash can leave one without the other.
const FILE: &str = "authority.pem";
/// Written first and then renamed; what a crash leaves of it is removed.
const UNFINISHED: &str = "authority.pem.unfinished";
const LOCK: &str = "authority.lock";

const OWNER_ONLY: u32 = 0o600;
const OWNER_ONLY_DIR: u32 = 0o700;
const READ_BY_OTHERS: u32 = 0o077;
const WRITTEN_BY_OTHERS: u32 = 0o022;

/// The directory of an authority, held by this process alone until it is dropped.
pub(super) struct Store {
    dir: PathBuf,
    // The lock ends with the file, also when the process is killed.
    _lock: File,
}

impl Store {
    /// Makes the directory where there is none, and waits for other processes that use it.
    pub(super) fn lock(dir: &Path) -> Result<Self, CaError> {
        let made = DirBuilder::new().recursive(true).mode(OWNER_ONLY_DIR).create(dir);
        made.map_err(failed("cannot make the directory", dir))?;
        let mode = fs::metadata(dir).map_err(failed("cannot look at", dir))?.mode() & 0o777;
        if mode & WRITTEN_BY_OTHERS != 0 {
            return Err(CaError::Exposed { path: dir.to_owned(), mode, fix: "chmod 700" });
        }
        let path = dir.join(LOCK);
        let lock =
            options().create(true).truncate(false).open(&path).map_err(failed("cannot open", &path))?;
        lock.lock().map_err(failed("cannot lock", &path))?;
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// The authority's file, if there is one.
    pub(super) fn read(&self) -> Result<Option<String>, CaError> {
        let path = self.path();
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("cannot open", &path)(error)),
        };
        // Of the opened file: the name might mean another one a moment later.
        let mode = file.metadata().map_err(failed("cannot look at", &path))?.mode() & 0o777;
        if mode & READ_BY_OTHERS != 0 {
            return Err(CaError::Exposed { path, mode, fix: "chmod 600" });
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed("cannot read", &path))?;
        Ok(Some(text))
    }

    /// Puts the whole text in place, or nothing.
    pub(super) fn write(&self, text: &str) -> Result<(), CaError> {
        let (unfinished, path) = (self.dir.join(UNFINISHED), self.path());
        // Not written over: what is left of a crash may be open to others.
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("cannot remove", &unfinished)(error));
            }
            _ => {}
        }
        let file = options().create_new(true).open(&unfinished);
        let mut file = file.map_err(failed("cannot write", &unfinished))?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(failed("cannot write", &unfinished))?;
        fs::rename(&unfinished, &path).map_err(failed("cannot write", &path))?;
        // The new name is on the disk only when the directory is.
        let dir = File::open(&self.dir).and_then(|dir| dir.sync_all());
        dir.map_err(failed("cannot write", &self.dir))
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(OWNER_ONLY);
    options
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CaError {
    let path = path.to_owned();
    move |source| CaError::Io { doing, path, source }
}
