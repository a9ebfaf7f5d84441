//! The SQLite VFS through which a process writes to a [`Disk`].
//!
//! Everything goes to SQLite's own unix VFS: bytes, locks, shared memory. On the way, changes are noted in
//! the disk's journal, and calls of dead processes are refused. A sync only reaches the journal: the real
//! files need to outlive nothing but the simulation. There is no memory mapping (`iVersion` 2 has no
//! `xFetch`), no waiting (`xSleep` returns at once) and no clock: what is not simulated must not be used.
#![expect(unsafe_code, reason = "a VFS is a table of C functions")]

mod file;

use std::ffi::{CStr, CString, OsStr, c_char, c_int};
use std::mem::size_of;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_vfs};

use self::file::{File, Tracked};
use super::disk::{Disk, DiskError};

/// What `pAppData` points to.
struct Process {
    name: &'static str,
    disk: Disk,
    unix: *mut sqlite3_vfs,
}

/// Registers a VFS of the process's name.
pub(super) fn register(disk: &Disk, name: &'static str) -> Result<(), DiskError> {
    let c_name = CString::new(name).or(Err(DiskError::Register(name)))?;
    // SAFETY: the name is a C string, and SQLite never frees its own VFS.
    let unix = unsafe { ffi::sqlite3_vfs_find(c"unix".as_ptr()) };
    if unix.is_null() {
        return Err(DiskError::Register(name));
    }
    // SAFETY: checked not to be null just now.
    let (max_path, unix_file) = unsafe { ((*unix).mxPathname, (*unix).szOsFile) };
    let header = c_int::try_from(size_of::<File>()).expect("a few words");
    // SQLite keeps a registered VFS for the life of the program, so these are never freed.
    let process = Box::leak(Box::new(Process { name, disk: disk.clone(), unix }));
    let vfs = Box::leak(Box::new(sqlite3_vfs {
        iVersion: 1,
        szOsFile: header + unix_file,
        mxPathname: max_path,
        pNext: ptr::null_mut(),
        zName: c_name.into_raw(),
        pAppData: ptr::from_mut(process).cast(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: Some(last_error),
        xCurrentTimeInt64: None,
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }));
    // SAFETY: the table and all it points to were leaked above.
    match unsafe { ffi::sqlite3_vfs_register(vfs, 0) } {
        ffi::SQLITE_OK => Ok(()),
        _ => Err(DiskError::Register(name)),
    }
}

/// SAFETY: `vfs` must be one that [`register`] made.
unsafe fn process(vfs: *mut sqlite3_vfs) -> &'static Process {
    // SAFETY: `register` put a leaked `Process` there.
    unsafe { &*(*vfs).pAppData.cast::<Process>() }
}

/// Calls a function of the unix VFS.
macro_rules! unix {
    ($vfs:expr, $function:ident $(, $argument:expr)*) => {{
        let unix = process($vfs).unix;
        let function = (*unix).$function.expect("the unix VFS has every function of version 1");
        function(unix $(, $argument)*)
    }};
}

/// SAFETY: `name` must be a C string.
unsafe fn path<'a>(name: *const c_char) -> &'a Path {
    // SAFETY: the caller vouches for it; SQLite's names outlive the call.
    Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()))
}

const JOURNALS: c_int = ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL;

/// SAFETY (this and every function below): called by SQLite, which keeps to the contract of `sqlite3_vfs` and
/// `sqlite3_io_methods`: the pointers are of the registered VFS, of `szOsFile` bytes, and of C strings.
unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: see above; the `File` is written whole before SQLite can see it as open.
    unsafe {
        (*file).pMethods = ptr::null();
        let process = process(vfs);
        let is_tracked = !name.is_null() && flags & ffi::SQLITE_OPEN_DELETEONCLOSE == 0;
        let creates = is_tracked && flags & ffi::SQLITE_OPEN_CREATE != 0 && !path(name).exists();
        let disk = &process.disk;
        let checked = if creates { disk.write(process.name) } else { disk.read(process.name) };
        if checked.is_err() {
            return ffi::SQLITE_CANTOPEN;
        }
        let opened = unix!(vfs, xOpen, name, file::inner(file), flags, out_flags);
        if opened != ffi::SQLITE_OK {
            return opened;
        }
        let tracked = is_tracked.then(|| Tracked {
            process,
            file: process.disk.opened(path(name), creates),
            // As the unix VFS does, which goes by the flag: the file may have been made by a process that died
            // before its first sync.
            sync_directory: flags & ffi::SQLITE_OPEN_CREATE != 0 && flags & JOURNALS != 0,
        });
        file::make(file, tracked);
        opened
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: see `open`.
    unsafe {
        let process = process(vfs);
        if process.disk.change(process.name).is_err() {
            return ffi::SQLITE_IOERR_DELETE;
        }
        let content = std::fs::read(path(name));
        let deleted = unix!(vfs, xDelete, name, 0);
        if let (ffi::SQLITE_OK, Ok(content)) = (deleted, content) {
            process.disk.deleted(path(name), content);
            if sync_directory != 0 {
                process.disk.directory_synced();
            }
        }
        deleted
    }
}

unsafe extern "C" fn access(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: see `open`.
    unsafe { unix!(vfs, xAccess, name, flags, out) }
}

unsafe extern "C" fn full_pathname(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    len: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: see `open`.
    unsafe { unix!(vfs, xFullPathname, name, len, out) }
}

/// SQLite does not come here: it takes its one seed from the default VFS. What it draws from it salts the log and
/// shows in no history.
unsafe extern "C" fn randomness(vfs: *mut sqlite3_vfs, len: c_int, out: *mut c_char) -> c_int {
    // SAFETY: see `open`.
    unsafe { unix!(vfs, xRandomness, len, out) }
}

/// Simulated time stands still during a call, so whatever SQLite waits for will not come.
unsafe extern "C" fn sleep(_vfs: *mut sqlite3_vfs, micros: c_int) -> c_int {
    micros
}

unsafe extern "C" fn current_time(_vfs: *mut sqlite3_vfs, _out: *mut f64) -> c_int {
    ffi::SQLITE_ERROR
}

unsafe extern "C" fn last_error(vfs: *mut sqlite3_vfs, len: c_int, out: *mut c_char) -> c_int {
    // SAFETY: see `open`.
    unsafe { unix!(vfs, xGetLastError, len, out) }
}

fn to_usize(number: sqlite3_int64) -> usize {
    usize::try_from(number).expect("SQLite's sizes and offsets are not negative")
}
