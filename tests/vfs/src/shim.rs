//! The C side: SQLite's calls → the machine's, and the rest to the system's own VFS.
//!
//! What must hold for every function here, and is what each `SAFETY` comment leans on: SQLite calls them with the
//! `sqlite3_vfs` registered below, whose `pAppData` is a leaked [`Machine`], or with an `sqlite3_file` of
//! `szOsFile` bytes that [`open`] has filled in as an [`OpenFile`]; it calls no function on a file before `xOpen`
//! or after `xClose`, and buffers have the length it names.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::size_of;
use std::ptr;

use rusqlite::ffi;

use crate::machine::{Failure, Machine};

/// What stands at the start of the memory that SQLite gives each file; the system's file follows it.
#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    machine: *const Machine,
    /// Boxed by [`open`], unboxed by [`close`].
    name: *mut String,
    /// The system's file for the main database, null for the others.
    real: *mut ffi::sqlite3_file,
}

/// Makes SQLite know the machine, for ever: connections may outlive whoever made it.
pub(crate) fn register(machine: &Machine) {
    // SAFETY: a null name asks for the default VFS, which lives as long as the process.
    let real = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
    if real.is_null() {
        return;
    }
    let name = CString::new(machine.name()).unwrap_or_default().into_raw();
    let machine = Box::into_raw(Box::new(machine.clone()));
    // SAFETY: not null, and SQLite never changes a registered VFS but for its list pointer.
    let system = unsafe { &*real };
    let own = c_int::try_from(size_of::<OpenFile>()).unwrap_or(c_int::MAX);
    let vfs = ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: own + system.szOsFile,
        mxPathname: system.mxPathname,
        pNext: ptr::null_mut(),
        zName: name,
        pAppData: machine.cast(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: system.xRandomness,
        xSleep: system.xSleep,
        xCurrentTime: system.xCurrentTime,
        xGetLastError: system.xGetLastError,
        xCurrentTimeInt64: system.xCurrentTimeInt64,
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    };
    // SAFETY: the structure and everything it points to are leaked and so live as long as SQLite may use them.
    unsafe { ffi::sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 0) };
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
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

fn system() -> *mut ffi::sqlite3_vfs {
    // SAFETY: a null name asks for the default VFS; ours are never registered as default.
    unsafe { ffi::sqlite3_vfs_find(ptr::null()) }
}

const fn code(failure: Failure, when_off: c_int) -> c_int {
    match failure {
        Failure::Off | Failure::Io => when_off,
        Failure::Full => ffi::SQLITE_FULL,
        Failure::Sync => ffi::SQLITE_IOERR_FSYNC,
    }
}

fn done(outcome: Result<(), Failure>, when_off: c_int) -> c_int {
    outcome.map_or_else(|failure| code(failure, when_off), |()| ffi::SQLITE_OK)
}

fn size(value: impl TryInto<usize>) -> usize {
    value.try_into().unwrap_or(0)
}

/// The machine and the file's name.
///
/// # Safety
/// `file` is one that [`open`] filled in and [`close`] has not closed.
unsafe fn parts<'f>(file: *mut ffi::sqlite3_file) -> (&'f Machine, &'f str) {
    // SAFETY: by the caller; the machine is leaked, and the name lives until `close`.
    unsafe {
        let file = &*file.cast::<OpenFile>();
        (&*file.machine, (*file.name).as_str())
    }
}

/// The system's file and its methods, for the main database.
///
/// # Safety
/// As [`parts`].
unsafe fn real<'f>(file: *mut ffi::sqlite3_file) -> Option<(*mut ffi::sqlite3_file, &'f ffi::sqlite3_io_methods)> {
    // SAFETY: by the caller; the system's VFS set the methods when it opened its file, and they are static.
    unsafe {
        let real = (*file.cast::<OpenFile>()).real;
        if real.is_null() { None } else { Some((real, &*(*real).pMethods)) }
    }
}

/// # Safety
/// `name` is null or a C string that lives as long as the result is used.
unsafe fn text<'n>(name: *const c_char) -> Option<&'n str> {
    if name.is_null() {
        return None;
    }
    // SAFETY: not null, and by the caller a C string.
    unsafe { CStr::from_ptr(name) }.to_str().ok()
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: the module's contract: `file` has room for an `OpenFile` and the system's file behind it, and null
    // methods tell SQLite that there is nothing to close.
    unsafe {
        (*file).pMethods = ptr::null();
        let machine = (*vfs).pAppData.cast::<Machine>();
        let Some(path) = text(name) else { return ffi::SQLITE_CANTOPEN };
        if (*machine).is_off() {
            return ffi::SQLITE_CANTOPEN;
        }
        let mut real = ptr::null_mut();
        if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 {
            real = file.cast::<OpenFile>().add(1).cast::<ffi::sqlite3_file>();
            let system = system();
            let Some(open) = (*system).xOpen else { return ffi::SQLITE_CANTOPEN };
            let opened = open(system, name, real, flags, out_flags);
            if opened != ffi::SQLITE_OK {
                return opened;
            }
        } else if !out_flags.is_null() {
            *out_flags = flags;
        }
        (*machine).lock().open(path);
        let name = Box::into_raw(Box::new(path.to_owned()));
        let base = ffi::sqlite3_file { pMethods: &raw const METHODS };
        file.cast::<OpenFile>().write(OpenFile { base, machine, name, real });
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, _sync_folder: c_int) -> c_int {
    // SAFETY: the module's contract.
    unsafe {
        let machine = (*vfs).pAppData.cast::<Machine>();
        let Some(path) = text(name) else { return ffi::SQLITE_IOERR_DELETE };
        done((*machine).lock().delete(path), ffi::SQLITE_IOERR_DELETE)
    }
}

unsafe extern "C" fn access(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, flags: c_int, out: *mut c_int) -> c_int {
    // SAFETY: the module's contract; `out` is a place for one int.
    unsafe {
        let machine = (*vfs).pAppData.cast::<Machine>();
        let known = text(name).and_then(|path| (*machine).lock().exists(path));
        if let Some(exists) = known {
            *out = c_int::from(exists);
            return ffi::SQLITE_OK;
        }
        let system = system();
        (*system).xAccess.map_or(ffi::SQLITE_IOERR_ACCESS, |access| access(system, name, flags, out))
    }
}

unsafe extern "C" fn full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    count: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: the arguments are passed on as they came, with the VFS the function belongs to.
    unsafe {
        let system = system();
        (*system).xFullPathname.map_or(ffi::SQLITE_CANTOPEN, |full| full(system, name, count, out))
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: the module's contract; the name was boxed by `open` and is unboxed only here.
    unsafe {
        let closed = real(file).and_then(|(real, methods)| methods.xClose.map(|close| close(real)));
        drop(Box::from_raw((*file.cast::<OpenFile>()).name));
        (*file).pMethods = ptr::null();
        closed.unwrap_or(ffi::SQLITE_OK)
    }
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, into: *mut c_void, count: c_int, at: i64) -> c_int {
    // SAFETY: the module's contract; `into` has `count` bytes.
    let (machine, name, into) = unsafe {
        let (machine, name) = parts(file);
        (machine, name, std::slice::from_raw_parts_mut(into.cast::<u8>(), size(count)))
    };
    let outcome = machine.lock().read(name, size(at), into);
    match outcome {
        Ok(found) if found == into.len() => ffi::SQLITE_OK,
        Ok(found) => {
            // SQLite requires the rest to be zeroed.
            into[found..].fill(0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Err(failure) => code(failure, ffi::SQLITE_IOERR_READ),
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, bytes: *const c_void, count: c_int, at: i64) -> c_int {
    // SAFETY: the module's contract; `bytes` has `count` bytes.
    let (machine, name, bytes) = unsafe {
        let (machine, name) = parts(file);
        (machine, name, std::slice::from_raw_parts(bytes.cast::<u8>(), size(count)))
    };
    done(machine.lock().write(name, size(at), bytes), ffi::SQLITE_IOERR_WRITE)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, to: i64) -> c_int {
    // SAFETY: the module's contract.
    let (machine, name) = unsafe { parts(file) };
    done(machine.lock().resize(name, size(to)), ffi::SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: the module's contract.
    let (machine, name) = unsafe { parts(file) };
    done(machine.lock().sync(name), ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    // SAFETY: the module's contract; `out` is a place for one integer.
    unsafe {
        let (machine, name) = parts(file);
        match machine.lock().size(name) {
            Ok(size) => *out = i64::try_from(size).unwrap_or(i64::MAX),
            Err(failure) => return code(failure, ffi::SQLITE_IOERR_FSTAT),
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: the module's contract; passed on with the file the function belongs to.
    unsafe { real(file).and_then(|(real, methods)| methods.xLock.map(|lock| lock(real, level))) }
        .unwrap_or(ffi::SQLITE_OK)
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: the module's contract; passed on with the file the function belongs to.
    unsafe { real(file).and_then(|(real, methods)| methods.xUnlock.map(|unlock| unlock(real, level))) }
        .unwrap_or(ffi::SQLITE_OK)
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: the module's contract; passed on with the file the function belongs to.
    unsafe { real(file).and_then(|(real, methods)| methods.xCheckReservedLock.map(|check| check(real, out))) }
        .unwrap_or(ffi::SQLITE_OK)
}

unsafe extern "C" fn file_control(_file: *mut ffi::sqlite3_file, _op: c_int, _argument: *mut c_void) -> c_int {
    // Hints about sizes and mappings would reach the real file, which is empty.
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    512
}

unsafe extern "C" fn device_characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    // As the system's VFS says: a write that is cut off leaves the bytes beside it alone.
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: the module's contract; passed on with the file the function belongs to.
    unsafe { real(file).and_then(|(real, methods)| methods.xShmMap.map(|map| map(real, region, bytes, extend, out))) }
        .unwrap_or(ffi::SQLITE_IOERR_SHMMAP)
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: the module's contract; passed on with the file the function belongs to.
    unsafe { real(file).and_then(|(real, methods)| methods.xShmLock.map(|lock| lock(real, offset, count, flags))) }
        .unwrap_or(ffi::SQLITE_IOERR_SHMLOCK)
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: the module's contract; passed on with the file the function belongs to.
    unsafe {
        if let Some((real, methods)) = real(file)
            && let Some(barrier) = methods.xShmBarrier
        {
            barrier(real);
        }
    }
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: the module's contract; passed on with the file the function belongs to.
    unsafe { real(file).and_then(|(real, methods)| methods.xShmUnmap.map(|unmap| unmap(real, delete))) }
        .unwrap_or(ffi::SQLITE_OK)
}
