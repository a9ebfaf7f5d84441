//! An open file: the calls that SQLite makes on it.

use std::ffi::{c_int, c_void};
use std::ptr;

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods};

use super::{Process, to_usize};
use crate::storage::disk::{Failed, Refusal};
use crate::storage::journal::{Change, FileId};

/// An open file as SQLite sees it: these fields, and right behind them the unix VFS's own file.
#[repr(C)]
pub(super) struct File {
    base: sqlite3_file,
    /// Owned; null for a temporary file, which nobody misses after a power loss.
    tracked: *mut Tracked,
}

pub(super) struct Tracked {
    pub(super) process: &'static Process,
    pub(super) file: FileId,
    /// A journal or WAL that may be new: SQLite's unix VFS syncs the directory together with its first sync.
    pub(super) sync_directory: bool,
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes a `File` of the memory behind `file`, whose inner file is open.
///
/// SAFETY: `file` must be `szOsFile` bytes given by SQLite.
pub(super) unsafe fn make(file: *mut sqlite3_file, tracked: Option<Tracked>) {
    let tracked = tracked.map_or(ptr::null_mut(), |it| Box::into_raw(Box::new(it)));
    // SAFETY: the caller vouches for the memory; it holds a `File` only from now on.
    unsafe {
        file.cast::<File>().write(File { base: sqlite3_file { pMethods: &raw const METHODS }, tracked });
    };
}

/// SAFETY: `file` must have been opened by [`open`] and not closed since.
unsafe fn tracked<'a>(file: *mut sqlite3_file) -> Option<&'a mut Tracked> {
    // SAFETY: such a file is a `File`, and `tracked` is null or owned by it; SQLite makes one call on a
    // file at a time.
    unsafe { (*file.cast::<File>()).tracked.as_mut() }
}

/// The unix VFS's file behind ours.
///
/// SAFETY: `file` must be `szOsFile` bytes given by SQLite.
pub(super) unsafe fn inner(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: `szOsFile` leaves room for it there, and a `File` is as aligned as a pointer, which is what
    // the unix VFS needs.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// Calls a method of the unix VFS's file. All of them exist: its method tables have no holes up to
/// `iVersion` 2.
macro_rules! inner {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        let inner = inner($file);
        let method = (*(*inner).pMethods).$method.expect("the unix VFS has every method of version 2");
        method(inner $(, $argument)*)
    }};
}

fn refused(check: Result<(), Failed>, code: c_int) -> Result<(), c_int> {
    check.map_err(|failed| match failed {
        Failed::Refused(Refusal::Full) => ffi::SQLITE_FULL,
        Failed::Refused(Refusal::Broken) | Failed::Dead => code,
    })
}

fn code(result: Result<(), c_int>) -> c_int {
    result.err().unwrap_or(ffi::SQLITE_OK)
}

fn check(code: c_int) -> Result<(), c_int> {
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(code) }
}

/// SAFETY (this and every function below): called by SQLite, which keeps to the contract of
/// `sqlite3_io_methods`: the file was opened by this VFS and not closed since, and pointers to what is read
/// and written are as long as is said.
unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: see above; the box was made by `make`, and nothing uses the file after this.
    unsafe {
        let closed = inner!(file, xClose);
        let tracked = (*file.cast::<File>()).tracked;
        if !tracked.is_null() {
            Box::from_raw(tracked).process.disk.closed();
        }
        closed
    }
}

unsafe extern "C" fn read(file: *mut sqlite3_file, to: *mut c_void, len: c_int, at: sqlite3_int64) -> c_int {
    // SAFETY: see `close`.
    unsafe {
        match tracked(file).map(|it| it.process.disk.read(it.process.name)) {
            Some(Err(_)) => ffi::SQLITE_IOERR_READ,
            _ => inner!(file, xRead, to, len, at),
        }
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    from: *const c_void,
    len: c_int,
    at: sqlite3_int64,
) -> c_int {
    // SAFETY: see `close`; `from` is `len` bytes long.
    unsafe {
        let Some(it) = tracked(file) else { return inner!(file, xWrite, from, len, at) };
        code(refused(it.process.disk.write(it.process.name), ffi::SQLITE_IOERR_WRITE).and_then(|()| {
            let (offset, length) = (to_usize(at), to_usize(len.into()));
            let old_len = size(file)?;
            let before = content(file, offset, old_len.min(offset + length))?;
            check(inner!(file, xWrite, from, len, at))?;
            let after = std::slice::from_raw_parts(from.cast::<u8>(), length).to_vec();
            it.process.disk.changed(Change::Write { file: it.file, offset, before, after, old_len });
            Ok(())
        }))
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, to: sqlite3_int64) -> c_int {
    // SAFETY: see `close`.
    unsafe {
        let Some(it) = tracked(file) else { return inner!(file, xTruncate, to) };
        code(refused(it.process.disk.change(it.process.name), ffi::SQLITE_IOERR_TRUNCATE).and_then(|()| {
            let len = to_usize(to);
            let tail = content(file, len, size(file)?)?;
            check(inner!(file, xTruncate, to))?;
            it.process.disk.changed(Change::Truncate { file: it.file, len, tail });
            Ok(())
        }))
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: see `close`.
    unsafe {
        let Some(it) = tracked(file) else { return ffi::SQLITE_OK };
        let disk = &it.process.disk;
        code(refused(disk.change(it.process.name), ffi::SQLITE_IOERR_FSYNC).map(|()| {
            disk.synced(it.file);
            if std::mem::take(&mut it.sync_directory) {
                disk.directory_synced();
            }
        }))
    }
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut sqlite3_int64) -> c_int {
    // SAFETY: see `close`.
    unsafe { inner!(file, xFileSize, size) }
}

// Locks are released by destructors as a kernel releases them after a kill, so they are never refused.

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: see `close`.
    unsafe { inner!(file, xLock, level) }
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: see `close`.
    unsafe { inner!(file, xUnlock, level) }
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, held: *mut c_int) -> c_int {
    // SAFETY: see `close`.
    unsafe { inner!(file, xCheckReservedLock, held) }
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, op: c_int, argument: *mut c_void) -> c_int {
    // SAFETY: see `close`.
    unsafe { inner!(file, xFileControl, op, argument) }
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    // SAFETY: see `close`.
    unsafe { inner!(file, xSectorSize) }
}

/// What the journal keeps to: bytes beside those being written are never harmed, and nothing more.
unsafe extern "C" fn device_characteristics(_file: *mut sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: see `close`.
    unsafe { inner!(file, xShmMap, page, size, extend, out) }
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, offset: c_int, n: c_int, flags: c_int) -> c_int {
    /// The lock that a process holds from the beginning of a transaction that writes until its end.
    const WRITE_LOCK: c_int = 0;
    // SAFETY: see `close`.
    unsafe {
        let locked = inner!(file, xShmLock, offset, n, flags);
        if let Some(Tracked { process, .. }) = tracked(file)
            && locked == ffi::SQLITE_OK
            && offset == WRITE_LOCK
        {
            process.disk.writes(process.name, flags & ffi::SQLITE_SHM_LOCK != 0);
        }
        locked
    }
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: see `close`.
    unsafe { inner!(file, xShmBarrier) }
}

/// A dead process cannot delete the shared memory that it leaves behind.
unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: see `close`.
    unsafe {
        let alive = tracked(file).is_none_or(|it| {
            it.process.disk.writes(it.process.name, false);
            it.process.disk.is_alive(it.process.name)
        });
        inner!(file, xShmUnmap, if alive { delete } else { 0 })
    }
}

/// SAFETY: `file` must be open.
unsafe fn size(file: *mut sqlite3_file) -> Result<usize, c_int> {
    let mut size = 0;
    // SAFETY: the caller vouches for it.
    check(unsafe { inner!(file, xFileSize, &raw mut size) })?;
    Ok(to_usize(size))
}

/// The bytes from `start` to `end`, which must not be beyond the file's end.
///
/// SAFETY: `file` must be open.
unsafe fn content(file: *mut sqlite3_file, start: usize, end: usize) -> Result<Vec<u8>, c_int> {
    let mut bytes = vec![0; end.saturating_sub(start)];
    let length = c_int::try_from(bytes.len()).or(Err(ffi::SQLITE_IOERR_READ))?;
    let offset = sqlite3_int64::try_from(start).or(Err(ffi::SQLITE_IOERR_READ))?;
    if length > 0 {
        // SAFETY: the caller vouches for the file, and `bytes` is `length` bytes long.
        check(unsafe { inner!(file, xRead, bytes.as_mut_ptr().cast(), length, offset) })?;
    }
    Ok(bytes)
}
