//! The C functions underneath, which the program would have called, and how the process aborts when
//! the recording would become wrong.

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use libc::{iovec, mode_t, off_t, size_t, ssize_t, stat};

/// Looks a function up, and caches it. Two threads that do so at the same time find the same.
fn find(cache: &AtomicPtr<c_void>, name: &'static CStr) -> *mut c_void {
    let known = cache.load(Ordering::Relaxed);
    if !known.is_null() {
        return known;
    }
    // SAFETY: the name ends with a zero byte, and RTLD_NEXT is for callers in a preloaded library.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    if found.is_null() {
        fatal(&format!("the C library has no {}", name.to_string_lossy()));
    }
    cache.store(found, Ordering::Relaxed);
    found
}

macro_rules! real {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {$(
        pub(crate) unsafe fn $name($($argument: $type),*) -> $result {
            static CACHE: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
            const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("a name"),
            };
            // SAFETY: the C library's function of this name has this signature.
            let function: unsafe extern "C" fn($($type),*) -> $result = unsafe { std::mem::transmute(find(&CACHE, NAME)) };
            // SAFETY: the caller follows the function's contract.
            unsafe { function($($argument),*) }
        }
    )*};
}

real! {
    read(fd: c_int, buffer: *mut c_void, count: size_t) -> ssize_t;
    pread64(fd: c_int, buffer: *mut c_void, count: size_t, offset: off_t) -> ssize_t;
    readv(fd: c_int, vector: *const iovec, count: c_int) -> ssize_t;
    preadv64(fd: c_int, vector: *const iovec, count: c_int, offset: off_t) -> ssize_t;
    preadv64v2(
        fd: c_int, vector: *const iovec, count: c_int, offset: off_t, flags: c_int
    ) -> ssize_t;
    write(fd: c_int, buffer: *const c_void, count: size_t) -> ssize_t;
    pwrite64(fd: c_int, buffer: *const c_void, count: size_t, offset: off_t) -> ssize_t;
    writev(fd: c_int, vector: *const iovec, count: c_int) -> ssize_t;
    pwritev64(fd: c_int, vector: *const iovec, count: c_int, offset: off_t) -> ssize_t;
    pwritev64v2(
        fd: c_int, vector: *const iovec, count: c_int, offset: off_t, flags: c_int
    ) -> ssize_t;
    ftruncate64(fd: c_int, length: off_t) -> c_int;
    fallocate64(fd: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int;
    fsync(fd: c_int) -> c_int;
    fdatasync(fd: c_int) -> c_int;
    sync_file_range(fd: c_int, offset: off_t, length: off_t, flags: c_uint) -> c_int;
    renameat2(
        fd: c_int, path: *const c_char, new_fd: c_int, new_path: *const c_char, flags: c_uint
    ) -> c_int;
    unlinkat(fd: c_int, path: *const c_char, flags: c_int) -> c_int;
    mkdirat(fd: c_int, path: *const c_char, mode: mode_t) -> c_int;
    linkat(
        fd: c_int, path: *const c_char, new_fd: c_int, new_path: *const c_char, flags: c_int
    ) -> c_int;
    symlinkat(target: *const c_char, fd: c_int, path: *const c_char) -> c_int;
    copy_file_range(
        from: c_int, from_offset: *mut off_t, to: c_int, to_offset: *mut off_t, count: size_t,
        flags: c_uint
    ) -> ssize_t;
    sendfile64(to: c_int, from: c_int, offset: *mut off_t, count: size_t) -> ssize_t;
    splice(
        from: c_int, from_offset: *mut off_t, to: c_int, to_offset: *mut off_t, count: size_t,
        flags: c_uint
    ) -> ssize_t;
    mmap64(
        address: *mut c_void, length: size_t, protection: c_int, flags: c_int, fd: c_int,
        offset: off_t
    ) -> *mut c_void;
    syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long;
    close(fd: c_int) -> c_int;
    readlink(path: *const c_char, buffer: *mut c_char, length: size_t) -> ssize_t;
    fstat64(fd: c_int, status: *mut stat) -> c_int;
    fstatat64(fd: c_int, path: *const c_char, status: *mut stat, flags: c_int) -> c_int;
}

/// Opens a file. The mode counts only if the flags allow creating it.
pub(crate) unsafe fn openat64(fd: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    static CACHE: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
    // SAFETY: the C library's function of this name has this signature.
    let function: unsafe extern "C" fn(c_int, *const c_char, c_int, ...) -> c_int =
        unsafe { std::mem::transmute(find(&CACHE, c"openat64")) };
    // SAFETY: the caller follows the function's contract.
    unsafe { function(fd, path, flags, mode) }
}

/// The calling thread's `errno`.
pub(crate) fn errno() -> c_int {
    // SAFETY: it points to this thread's `errno`.
    unsafe { *libc::__errno_location() }
}

/// Sets the calling thread's `errno`, for the program to read.
pub(crate) fn set_errno(number: c_int) {
    // SAFETY: it points to this thread's `errno`.
    unsafe { *libc::__errno_location() = number }
}

/// Prints the reason to standard error and aborts.
pub(crate) fn fatal(reason: &str) -> ! {
    let line = format!("faultdisk: {reason}\n");
    // SAFETY: the pointer and the length are those of the line. A failed write does not stop the
    // abort.
    unsafe {
        write(2, line.as_ptr().cast(), line.len());
        libc::abort()
    }
}

/// Like [`fatal`], with the current `errno`.
pub(crate) fn fatal_errno(what: &str) -> ! {
    let number = errno();
    fatal(&format!("{what}: error {number}"))
}
