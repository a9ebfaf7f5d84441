//! The SQLite VFS through which a process writes to a [`Disk`].
//!
//! Everything goes to SQLite's own unix VFS: bytes, locks, shared memory. On the way, changes are noted in
//! the disk's journal, and calls of dead processes are refused. A sync only reaches the journal: the real
//! files need to outlive nothing but the simulation. There is no memory mapping (`iVersion` 2 has no
//! `xFetch`), no waiting (`xSleep` returns at once) and no clock: what is not simulated must not be used.
#![expect(unsafe_code, reason = "a VFS is a table of C functions")]

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};

use super::disk::{Dead, Disk, DiskError};
use super::journal::{Change, FileId};

/// What `pAppData` points to.
struct Process {
    name: &'static str,
    disk: Disk,
    unix: *mut sqlite3_vfs,
}

/// An open file as SQLite sees it: these fields, and right behind them the unix VFS's own file.
#[repr(C)]
struct File {
    base: sqlite3_file,
    /// Owned; null for a temporary file, which nobody misses after a power loss.
    tracked: *mut Tracked,
}

struct Tracked {
    process: &'static Process,
    file: FileId,
    /// A new journal or WAL: SQLite's unix VFS syncs the directory together with its first sync.
    sync_directory: bool,
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

/// SAFETY: `vfs` must be one that [`register`] made.
unsafe fn process(vfs: *mut sqlite3_vfs) -> &'static Process {
    // SAFETY: `register` put a leaked `Process` there.
    unsafe { &*(*vfs).pAppData.cast::<Process>() }
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
unsafe fn inner(file: *mut sqlite3_file) -> *mut sqlite3_file {
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

/// Calls a function of the unix VFS.
macro_rules! unix {
    ($vfs:expr, $function:ident $(, $argument:expr)*) => {{
        let unix = process($vfs).unix;
        let function = (*unix).$function.expect("the unix VFS has every function of version 1");
        function(unix $(, $argument)*)
    }};
}

fn refused(check: Result<(), Dead>, code: c_int) -> Result<(), c_int> {
    check.or(Err(code))
}

fn code(result: Result<(), c_int>) -> c_int {
    result.err().unwrap_or(ffi::SQLITE_OK)
}

fn check(code: c_int) -> Result<(), c_int> {
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(code) }
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
        let alive = if creates { process.disk.change(process.name) } else { process.disk.read(process.name) };
        if alive.is_err() {
            return ffi::SQLITE_CANTOPEN;
        }
        let opened = unix!(vfs, xOpen, name, inner(file), flags, out_flags);
        if opened != ffi::SQLITE_OK {
            return opened;
        }
        let tracked = is_tracked.then(|| Tracked {
            process,
            file: process.disk.opened(path(name), creates),
            sync_directory: creates && flags & JOURNALS != 0,
        });
        (*file.cast::<File>()).tracked = tracked.map_or(ptr::null_mut(), |it| Box::into_raw(Box::new(it)));
        (*file).pMethods = &raw const METHODS;
        opened
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: see `open`; the box was made there, and nothing uses the file after this.
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
    // SAFETY: see `open`.
    unsafe {
        match tracked(file).map(|it| it.process.disk.read(it.process.name)) {
            Some(Err(Dead)) => ffi::SQLITE_IOERR_READ,
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
    // SAFETY: see `open`; `from` is `len` bytes long.
    unsafe {
        let Some(it) = tracked(file) else { return inner!(file, xWrite, from, len, at) };
        code(refused(it.process.disk.change(it.process.name), ffi::SQLITE_IOERR_WRITE).and_then(|()| {
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
    // SAFETY: see `open`.
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
    // SAFETY: see `open`.
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
    // SAFETY: see `open`.
    unsafe { inner!(file, xFileSize, size) }
}

// Locks are released by destructors as a kernel releases them after a kill, so they are never refused.

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: see `open`.
    unsafe { inner!(file, xLock, level) }
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: see `open`.
    unsafe { inner!(file, xUnlock, level) }
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, held: *mut c_int) -> c_int {
    // SAFETY: see `open`.
    unsafe { inner!(file, xCheckReservedLock, held) }
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, op: c_int, argument: *mut c_void) -> c_int {
    // SAFETY: see `open`.
    unsafe { inner!(file, xFileControl, op, argument) }
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    // SAFETY: see `open`.
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
    // SAFETY: see `open`.
    unsafe { inner!(file, xShmMap, page, size, extend, out) }
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, offset: c_int, n: c_int, flags: c_int) -> c_int {
    // SAFETY: see `open`.
    unsafe { inner!(file, xShmLock, offset, n, flags) }
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: see `open`.
    unsafe { inner!(file, xShmBarrier) }
}

/// A dead process cannot delete the shared memory that it leaves behind.
unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: see `open`.
    unsafe {
        let alive = tracked(file).is_none_or(|it| it.process.disk.is_alive(it.process.name));
        inner!(file, xShmUnmap, if alive { delete } else { 0 })
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

/// The same bytes for everyone; SQLite takes them for a seed.
unsafe extern "C" fn randomness(_vfs: *mut sqlite3_vfs, len: c_int, out: *mut c_char) -> c_int {
    // SAFETY: `out` is `len` bytes long.
    unsafe { ptr::write_bytes(out, 0x5a, to_usize(len.into())) };
    len
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

fn to_usize(number: sqlite3_int64) -> usize {
    usize::try_from(number).expect("SQLite's sizes and offsets are not negative")
}
